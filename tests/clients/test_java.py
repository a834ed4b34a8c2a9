"""Java's own HTTP client as it is by default, which offers HTTP/2 with every first request."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import RED, ask, drawn
from tests.hailo_florence.api.running import Running

JAVA = shutil.which("java")
pytestmark = pytest.mark.skipif(
    not (JAVA and shutil.which("javac")), reason="a JDK is needed (apt install default-jdk-headless)"
)
PROGRAM = """
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;

public class Ask {
    public static void main(String[] words) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest models = HttpRequest.newBuilder(URI.create(words[0] + "/v1/models")).build();
        System.out.println(client.send(models, HttpResponse.BodyHandlers.ofString()).statusCode());
        HttpRequest chat = HttpRequest.newBuilder(URI.create(words[0] + "/v1/chat/completions"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofFile(Path.of(words[1])))
            .build();
        HttpResponse<String> reply = client.send(chat, HttpResponse.BodyHandlers.ofString());
        System.out.println(reply.statusCode() + " " + reply.version());
        System.out.println(reply.body());
    }
}
"""


def test_the_default_client_is_answered(vision: Running, tmp_path: Path) -> None:
    # As Java's own MIME encoder writes base64: in lines that end with CR LF.
    mime = base64.encodebytes(drawn(("circle", RED, 240))).decode().replace("\n", "\r\n")
    asked = {"model": "qwen2-vl-2b-instruct", "messages": ask("What color is the circle?", mime)}
    (tmp_path / "body.json").write_text(json.dumps(asked))
    (tmp_path / "Ask.java").write_text(PROGRAM)
    assert JAVA
    command = [
        JAVA,
        str(tmp_path / "Ask.java"),
        f"http://127.0.0.1:{vision.port}",
        str(tmp_path / "body.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    first, second, answer = done.stdout.splitlines()
    assert (first, second) == ("200", "200 HTTP_1_1"), done.stderr
    assert '"content":"red"' in answer.replace(" ", "")
