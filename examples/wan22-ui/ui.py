"""The page: every section of the config, and the folders that it names."""

import html
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def page(config: dict) -> str:
    sections = []
    for name, section in config.items():
        rows = "".join(
            f"<tr><th>{html.escape(key)}</th><td>{html.escape(repr(value))}</td></tr>"
            for key, value in section.items()
        )
        sections.append(f"<h2>{html.escape(name)}</h2><table>{rows}</table>")
    return "<!doctype html><title>WAN22 UI</title>" + "".join(sections)


def serve(config: dict, host: str, port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802, the name that http.server calls
            body = page(config).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer((host, port), Handler) as server:
        print(f"Running on local URL: http://{host}:{server.server_port}", flush=True)
        server.serve_forever()
