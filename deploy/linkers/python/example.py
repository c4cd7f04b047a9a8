"""An ASGI and a WSGI application: what the conformance kit of pullproxy asks of an application, and a WebSocket echo."""

import asyncio
import threading
import time

running = most = 0
lock = threading.Lock()


def began() -> None:
    global running, most
    with lock:
        running += 1
        most = max(most, running)


def ended() -> None:
    global running
    with lock:
        running -= 1


async def app(scope, receive, send):
    """ASGI."""
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "http":
        began()
        try:
            body = await respond(scope["path"], receive)
            if body is not None:
                headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
        finally:
            ended()
    else:
        raise NotImplementedError(scope["type"])


async def respond(path, receive):
    _, what, *count = path.split("/")
    if what == "wait":
        await asyncio.sleep(int(count[0]) / 1000)
        return b"waited"
    if what == "echo":
        parts, more = [], True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return None
            parts.append(event["body"])
            more = event["more_body"]
        return b"".join(parts)
    return bytes_of(what, count)


async def echo(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event.get("text"), "bytes": event.get("bytes")})


def wsgi(environ, start_response):
    """WSGI."""
    began()
    try:
        _, what, *count = environ["PATH_INFO"].split("/")
        if what == "wait":
            time.sleep(int(count[0]) / 1000)
            body = b"waited"
        else:
            body = environ["wsgi.input"].read() if what == "echo" else bytes_of(what, count)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    finally:
        ended()


def bytes_of(what, count):
    if what == "bytes":
        return b"x" * int(count[0])
    return str(most).encode() if what == "most" else b"hello"
