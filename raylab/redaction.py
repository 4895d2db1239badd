"""Text as it may be shown and kept: addresses without the passwords and keys that people put into them."""

import re

_USER = re.compile(r"(?<=://)([^/\s:@?#]*):[^/\s@]+@")  # scheme://user:password@host
_BUCKET = re.compile(r"((?:s3|gs)://[^/\s:@?#]*):[^\s@]+@")  # a bucket's keys hold slashes, which should be written %2F
_NAMED = re.compile(
    r"(?i)([?&;][\w.-]*(?:access[_-]?key(?:[_-]?id)?|secret|token|password|passwd|pwd|signature|credential|api[_-]?key|sig)[\w.-]*=)"
    r"[^&;#\s'\"]+"
)


def without_secrets(text: str) -> str:
    """The text, with *** for the password of an address (scheme://user:password@host) and for what its query calls a key,
    a token, a secret or the like."""
    return _NAMED.sub(r"\1***", _USER.sub(r"\1:***@", _BUCKET.sub(r"\1:***@", text)))
