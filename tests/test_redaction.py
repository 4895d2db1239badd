"""No password or key leaves by way of an address."""

import pytest

from raylab.redaction import without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg2://mlflow:hunter2@db:5432/x", "postgresql+psycopg2://mlflow:***@db:5432/x"),
        ("http://u:p%40ss:word@host/path?q=1", "http://u:***@host/path?q=1"),
        ("--storage=s3://AKIA123:se/cret@bucket/x", "--storage=s3://AKIA123:***@bucket/x"),
        ("s3://b/x?access_key=AKIA&secret_key=abc&region=eu", "s3://b/x?access_key=***&secret_key=***&region=eu"),
        ("https://b/x?X-Amz-Signature=abc&X-Amz-Credential=AK/2026&X-Amz-Date=1", "https://b/x?X-Amz-Signature=***&X-Amz-Credential=***&X-Amz-Date=1"),
        ("MLflow at http://:onlypass@h:1 does not answer", "MLflow at http://:***@h:1 does not answer"),
        ("two http://a:b@c and http://d:e@f", "two http://a:***@c and http://d:***@f"),
        ("http://127.0.0.1:8265", "http://127.0.0.1:8265"),
        ("ray://host:10001 and me@example.org: yes", "ray://host:10001 and me@example.org: yes"),
        ("s3://bucket/path?endpoint_override=http://127.0.0.1:9000", "s3://bucket/path?endpoint_override=http://127.0.0.1:9000"),
    ],
)  # fmt: skip
def test_what_is_secret_is_masked_and_nothing_else(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
