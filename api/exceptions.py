"""The expected errors of the HTTP side; `api.errors` maps each to a status."""

PROTOCOL_PATH = "/v2"  # below it errors have the form of the Open Inference Protocol
QUEUE_FULL_DETAIL = "All places in the queue are taken; try again in a moment."


class ApiError(Exception):
    """An expected error of the HTTP side; the message is for the sender."""


class MalformedRequestError(ApiError):
    """The request is not one the service can read."""


class UnknownModelError(ApiError):
    """A model, or a version of it, that is not served here."""


class UnauthorizedError(ApiError):
    """A key is needed, and none of ours was sent."""


class UploadTimeoutError(ApiError):
    """The body took too long to arrive."""


class BodyTooLargeError(ApiError):
    """The body has more bytes than are accepted."""


class TooManyFilesError(ApiError):
    """The body has more files than are accepted."""


class HeadTimeoutError(ApiError):
    """The head of a request took too long to arrive."""


class HeadTooLargeError(ApiError):
    """The head of a request has more bytes than are accepted."""


class TooManyConnectionsError(ApiError):
    """As many clients are connected as may."""


class ClientGoneError(ApiError):
    """The client closed the connection before its turn had come."""


class NotReadyError(ApiError):
    """No model is loaded."""


class StoppingError(ApiError):
    """The service is about to stop."""


class QueueFullError(ApiError):
    """As many requests are waiting as may, or their bodies take as much memory as they may."""


class DeadlinePassedError(ApiError):
    """The request waited for a free core longer than it may."""


class SettingsError(Exception):
    """A setting is out of its bounds; the message names the variable."""
