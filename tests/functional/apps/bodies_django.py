"""Asynchronous bodies from Django's views."""

from typing import Any

import django
from bodies import pieces
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import StreamingHttpResponse
from django.urls import path

from aiohttp_worker import AsyncBody
from aiohttp_worker.django import AsyncStreamingHttpResponse

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="of a test",
    MIDDLEWARE=[
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.common.CommonMiddleware",
        "bodies_django.middleware",
    ],
)
django.setup()


def middleware(get_response: Any) -> Any:
    def around(request: Any) -> Any:
        response = get_response(request)
        if "upper" in request.GET:  # as of one that knows ordinary iterables only
            response.streaming_content = (part.upper() for part in response.streaming_content)
        return response

    return around


async def texts(environ: Any) -> Any:
    async for piece in pieces(environ):
        yield piece.decode()


urlpatterns = [
    path("carried", lambda request: StreamingHttpResponse(AsyncBody(pieces(request.environ)), content_type="text/plain")),
    path("own", lambda request: AsyncStreamingHttpResponse(pieces(request.environ), content_type="text/plain")),
    path(
        "own-texts",
        lambda request: AsyncStreamingHttpResponse(texts(request.environ), content_type="text/plain; charset=utf-16-le"),
    ),
    path("bare", lambda request: StreamingHttpResponse(pieces(request.environ), content_type="text/plain")),
]
site = get_wsgi_application()
