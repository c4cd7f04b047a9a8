"""Serves a WSGI application (PEP 3333), each request in a thread of its own."""

import asyncio
import io
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote_to_bytes

from .http1 import BadRequest, Request, Response, answer, read_request
from .stream import ClientGone, Stream

log = logging.getLogger("pullproxy")


class Input(io.RawIOBase):
    """`wsgi.input`: it waits for the client."""

    def __init__(self, request: Request, loop):
        self._request = request
        self._loop = loop
        self._kept = b""

    def readable(self) -> bool:
        return True

    def readinto(self, into) -> int:
        if not self._kept and not self._request.body.is_over:
            try:
                self._kept = asyncio.run_coroutine_threadsafe(self._request.body.read(), self._loop).result()
            except (ClientGone, BadRequest) as error:
                raise OSError("the client is gone") from error
        part = self._kept[: len(into)]
        self._kept = self._kept[len(part) :]
        into[: len(part)] = part
        return len(part)


def environ_of(request: Request, loop) -> dict:
    host, _, port = request.header(b"host").decode("latin-1").partition(":")
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query.decode("latin-1"),
        "SERVER_NAME": host or "localhost",
        "SERVER_PORT": port or ("443" if request.scheme == "https" else "80"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": io.BufferedReader(Input(request, loop)),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for name, value in request.headers:
        # A name with _ would be taken for the same name with -.
        if b"_" in name:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]}, {text}" if key in environ else text
    return environ


class WsgiServer:
    def __init__(self, app, concurrency: int):
        self._app = app
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="request")

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self._threads.shutdown(wait=False)

    async def serve(self, stream: Stream) -> bool:
        """Returns whether the response is whole."""
        try:
            request = await read_request(stream)
        except BadRequest:
            return await answer(stream, 400)
        response = Response(stream, request.method)
        loop = asyncio.get_running_loop()
        try:
            # It is waited for also when the client has gone: until then the application has the request.
            await asyncio.shield(loop.run_in_executor(self._threads, self._run, request, response, loop))
        except ClientGone:
            raise
        except Exception:
            log.exception("the application failed")
            if response.is_started or stream.is_gone:
                return response.is_whole
            return await answer(stream, 500)
        return response.is_whole

    def _run(self, request: Request, response: Response, loop) -> None:
        head: list = []

        def write(data: bytes, more: bool = True) -> None:
            if not head:
                raise RuntimeError("start_response was not called")
            if not response.is_started:
                status, _, reason = head[0].partition(" ")
                fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head[1]]
                response.start(int(status), fields, reason)
            asyncio.run_coroutine_threadsafe(response.write(data, more), loop).result()

        def start_response(status: str, headers: list, exc_info=None):
            if exc_info is not None and response.is_started:
                raise exc_info[1].with_traceback(exc_info[2])
            if head and exc_info is None:
                raise RuntimeError("start_response was called twice")
            head[:] = [status, headers]
            return write

        result = self._app(environ_of(request, loop), start_response)
        try:
            for part in result:
                if part:
                    write(part)
            write(b"", more=False)
        finally:
            if hasattr(result, "close"):
                result.close()
