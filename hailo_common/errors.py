"""The kinds of error a service knows. They meet HTTP in one place: `hailo_common.web.errors`.

No HTTP status stands here, and no message repeats what a client sent. What a library said of a model's file
stands only in the error for that file (`library_reason`): nothing of a client's is loaded then.
"""

from __future__ import annotations

from pathlib import PurePath

RETRY_AFTER_MAX_S = 120
"""openai-python does not retry at all above this."""


_REASON = 300  # characters


class ServiceError(Exception):
    """An error whose `message` may be shown to a client.

    `code` is a stable slug (`invalid_base64`), `param` the offending field, `retry_after` whole seconds.
    `cause` tells apart what has one code and several messages.
    """

    code = "internal_error"
    cause = ""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after = retry_after


class BadRequest(ServiceError):
    """Malformed or refused content: bad JSON, bad base64, an image over a limit."""

    code = "bad_request"


class TooLarge(BadRequest):
    """More bytes than the limit for this request."""

    code = "body_too_large"


class UnsupportedMedia(BadRequest):
    """A content type or image format that is not accepted."""

    code = "unsupported_media_type"


class InvalidParameter(ServiceError):
    """A well-formed field with a value out of range; `param` names it."""

    code = "invalid_parameters"


class Undecodable(ServiceError):
    """The image killed or outlasted its decoder."""

    code = "image_decode_failed"


class Unauthorized(ServiceError):
    """No key, or none of those that are configured."""

    code = "invalid_api_key"


class NotFound(ServiceError):
    """What the request names is not here (`model_not_found`)."""

    code = "not_found"


class NotSupported(ServiceError):
    """The loaded model cannot do this (for example VQA without its embedding)."""

    code = "not_supported"


class Unavailable(ServiceError):
    """The service cannot answer now and may later."""

    code = "unavailable"


class Busy(Unavailable):
    """The queue is full."""

    code = "queue_full"


class QueueTimeout(Busy):
    """The request waited for its turn longer than it may."""

    code = "queue_timeout"


class Interrupted(Unavailable):
    """The engine was given to a more urgent request; the same request may be run again."""

    code = "interrupted"


class NotReady(Unavailable):
    """The model is not loaded (yet)."""

    code = "model_not_ready"


def stopping() -> NotReady:
    """The answer to requests that a stopping service does not take or finish."""
    return NotReady("The service is stopping.", code="stopping", retry_after=5)


class DeviceLost(Unavailable):
    """The NPU went away."""

    code = "device_lost"


class EngineLost(Unavailable):
    """The engine process died or was killed while it worked on this request."""

    code = "engine_lost"


class EngineTimeout(Unavailable):
    """The engine did not answer within the request's deadline."""

    code = "engine_timeout"


class EngineFailed(ServiceError):
    """The engine raised while it worked on a valid request."""

    code = "inference_failed"


class BadStructure(ServiceError):
    """The model did not produce the JSON that the request asks for."""

    code = "invalid_structured_output"


class ModelError(Exception):
    """A model folder that can never load: corrupt, incomplete in structure, of another architecture."""


class ModelMissing(Exception):
    """Model files that are not there yet; a later try may find them."""


def library_reason(error: BaseException) -> str:
    """What a library said of a file it could not load: its first 300 characters in one line."""
    words = "".join(sign if sign.isprintable() else " " for sign in str(error)).split()
    text = " ".join(words) or type(error).__name__
    return text if len(text) <= _REASON else text[: _REASON - 1] + "…"


class ConfigError(Exception):
    """A configuration that cannot be used; the message names file, line and key."""


class ConfigDeniedError(ConfigError):
    """A configuration that this user may not read or write."""


def unusable(path: PurePath, what: str, error: OSError) -> ConfigError:
    """The ConfigError for a path that cannot be `what` ("read", "written")."""
    kind = ConfigDeniedError if isinstance(error, PermissionError) else ConfigError
    return kind(f"{path}: cannot be {what}: {error.strerror}")
