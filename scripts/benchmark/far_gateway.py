"""A gateway behind TLS, 40 ms away: `python -m benchmark.far_gateway FOLDER` prints its port and leaves `ca.pem` in the folder.

A relay stands before it and holds everything back for 20 ms in each direction.  It cannot delay the handshake of TCP, which the
kernel answers, so that round trip is waited for behind it: a connection's first bytes come 40 ms later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys

import trustme

ONE_WAY_SECONDS = 0.02
_BODY = b'{"type":"message","role":"assistant","content":[],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}'
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_BYTES = 65536


async def main(folder: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(os.path.join(folder, "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    gateway = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
    gateway_port = gateway.sockets[0].getsockname()[1]

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * ONE_WAY_SECONDS)
        there, back = await asyncio.open_connection("127.0.0.1", gateway_port)
        async with asyncio.TaskGroup() as both:
            for source, sink in ((reader, back), (there, writer)):
                both.create_task(_held_back(source, sink))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, there_is_one, length = head.partition(b"content-length:")
            if there_is_one:
                await reader.readexactly(int(length.split(b"\r\n")[0]))
            writer.write(_REPLY)
    writer.close()


async def _held_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await reader.read(_BYTES):
            loop.call_later(ONE_WAY_SECONDS, writer.write, data)
    loop.call_later(ONE_WAY_SECONDS, writer.close)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
