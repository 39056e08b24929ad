"""The site in WebOb."""

import json
import os
from typing import Any

from webob import Request, Response
from webob.dec import wsgify
from webob.exc import HTTPNotFound
from webob.static import FileApp

from .events import events


@wsgify
def application(request: Request) -> Any:
    match request.path_info:
        case "/hello":
            return Response(text="Hello, WebOb!", content_type="text/plain")
        case "/form":
            return Response(json_body=dict(request.POST.items()))
        case "/multipart":
            fields = {name: len(value.file.read()) if hasattr(value, "file") else value for name, value in request.POST.items()}
            return Response(json_body=fields)
        case "/json":
            return Response(body=json.dumps(request.json_body).encode())
        case "/download":
            return FileApp(os.environ["DOWNLOAD"], content_type="application/x-test")
        case "/fail":
            raise RuntimeError("planned failure of a view")
        case "/events":
            return Response(app_iter=events(request.environ), content_type="text/event-stream", charset=None)
    return HTTPNotFound()
