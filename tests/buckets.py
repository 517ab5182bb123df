"""A bucket of a test's own: moto's server in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BUCKET = "models"

# It looks at an object and then writes it, so only one request at a time is as atomic as S3 is.
SERVER = """
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

class Quiet(WSGIRequestHandler):
    def log(self, *arguments):
        pass

app = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, app, request_handler=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
"""

READING = """{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
]}"""
"""What a key may that changes nothing."""


@dataclass(frozen=True, slots=True)
class S3:
    """A service with the bucket `models`, in a process of its own."""

    url: str
    process: subprocess.Popen[str]

    def settings(self, key: str = "ann", secret: str = "secret") -> dict[str, str]:
        """The variables by which any client of S3 finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
        }

    def reading_settings(self) -> dict[str, str]:
        """Those of a key that may read only. From now on nobody is asked without a key."""
        import boto3

        iam = boto3.client(
            "iam",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="ann",
            aws_secret_access_key="secret",
        )
        iam.create_user(UserName="reader")
        iam.put_user_policy(UserName="reader", PolicyName="reading", PolicyDocument=READING)
        key: dict[str, Any] = iam.create_access_key(UserName="reader")["AccessKey"]
        _ask(f"{self.url}/moto-api/reset-auth", "POST", b"0")
        return self.settings(key["AccessKeyId"], key["SecretAccessKey"])


@contextlib.contextmanager
def s3() -> Iterator[S3]:
    """One that runs; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        _ask(f"{url}/{BUCKET}", "PUT")
        yield S3(url, process)
    finally:
        process.kill()
        process.communicate()


def _ask(url: str, method: str, data: bytes | None = None) -> None:
    headers = {"Content-Type": "text/plain"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)):
        pass
