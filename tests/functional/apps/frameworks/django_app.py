"""The site in Django, with a database.

DATABASE is the path of it, CONN_MAX_AGE Django's setting of this name ("None" is for ever).
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from .events import events

_age = os.environ.get("CONN_MAX_AGE", "0")

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="of a test",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"standard_error": {"class": "logging.StreamHandler"}},
        "loggers": {"django.request": {"handlers": ["standard_error"], "level": "ERROR", "propagate": False}},
    },
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "CONN_MAX_AGE": None if _age == "None" else int(_age),
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - needs the settings
from django.db import connection, models  # noqa: E402


class Note(models.Model):
    text = models.CharField(max_length=100)

    class Meta:
        app_label = "notes"


if Note._meta.db_table not in connection.introspection.table_names():
    with connection.schema_editor() as editor:
        editor.create_model(Note)
connection.close()


def open_connections() -> int:
    """The descriptors of the database that this process holds."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}") == os.environ["DATABASE"]
        except OSError:  # the descriptor of listdir itself
            continue
    return count


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, Django!")


def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.POST.items()))


def multipart(request: HttpRequest) -> HttpResponse:
    files = {name: len(file.read()) for name, file in request.FILES.items()}
    return JsonResponse({**dict(request.POST.items()), **files})


def echo_json(request: HttpRequest) -> HttpResponse:
    return JsonResponse(json.loads(request.body), safe=False)


def download(request: HttpRequest) -> FileResponse:
    return FileResponse(open(os.environ["DOWNLOAD"], "rb"), content_type="application/x-test")


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("planned failure of a view")


def sends_events(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(events(request.META), content_type="text/event-stream")


async def sends_events_from_async_view(request: HttpRequest) -> StreamingHttpResponse:
    await asyncio.sleep(0)
    return StreamingHttpResponse(events(request.META), content_type="text/event-stream")


def streams(request: HttpRequest) -> StreamingHttpResponse:
    """A synchronous stream that uses the database in its steps."""

    def body() -> Iterator[str]:
        for number in range(3):
            yield f"{number}:{Note.objects.filter(text='nothing').count()};"

    return StreamingHttpResponse(body())


async def async_view(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("async view")


def orm(request: HttpRequest) -> HttpResponse:
    note = Note.objects.create(text="note")
    count = Note.objects.filter(pk=note.pk).count()
    note.delete()
    return HttpResponse(f"{count} found")


async def async_orm(request: HttpRequest) -> HttpResponse:
    count = await Note.objects.filter(text="nothing").acount()
    again = await sync_to_async(Note.objects.filter(text="nothing").count)()
    return HttpResponse(f"{count} {again} found")


def orm_and_events(request: HttpRequest) -> StreamingHttpResponse:
    """A connection is open when the asynchronous body begins."""
    count = Note.objects.filter(text="nothing").count()

    async def body() -> AsyncIterator[bytes]:
        yield b"%d " % count
        async for event in events(request.META):
            yield event
        yield b"%d" % await Note.objects.filter(text="nothing").acount()

    return StreamingHttpResponse(body())


def connections(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(open_connections()))


urlpatterns = [
    path("hello", hello),
    path("form", form),
    path("multipart", multipart),
    path("json", echo_json),
    path("download", download),
    path("fail", fail),
    path("events", sends_events),
    path("events-from-async-view", sends_events_from_async_view),
    path("streams", streams),
    path("async-view", async_view),
    path("orm", orm),
    path("async-orm", async_orm),
    path("orm-and-events", orm_and_events),
    path("connections", connections),
]
application: Any = get_wsgi_application()
