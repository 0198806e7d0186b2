"""The errors of this package, where they arise on the way of the data.

    request   data (bytes) -> image -> inputs -> logits -> probabilities, heatmap
                   |            |
                   |            ImageTooSmallError, BlankImageError
                   UnsupportedFormatError, ImageTooLargeError, TruncatedImageError,
                   UnsupportedPixelsError, UnknownFrameError (DICOM), UnknownClassError (of the request)

    picture   heatmap, image -> file: PictureFormatError

    results   image (DICOM), prediction, picture -> files: ResultSourceError, ResultViewError, ResultPackagesError

    start     file -> checkpoint -> card, network -> engine -> self-test
               |          |              |                         |
               +----------+-- CheckpointError ---------------------+

Messages name the expected, the found and the remedy. Those of an `InputError` are for the sender of the image: they
contain no file name, no path and no text of a library's exception. `CheckpointError` is for the person who starts the
service, and does name the file.
"""


class ModelError(Exception):
    """Any error that this package raises on purpose."""


class InputError(ModelError):
    """The image cannot be classified; the message gives the reason."""


class UnsupportedFormatError(InputError):
    """The bytes are in no supported format."""


class ImageTooLargeError(InputError):
    """The image has more pixels than may be decoded."""


class UnusableImageError(InputError):
    """The format is supported, but the content cannot be classified."""


class TruncatedImageError(UnusableImageError):
    """The image data end early or are damaged."""


class ImageTooSmallError(UnusableImageError):
    """Too few pixels to show a brain."""


class BlankImageError(UnusableImageError):
    """Every pixel has the same value."""


class UnsupportedPixelsError(UnusableImageError):
    """The format is supported, but not the way this file stores its pixels."""


class UnknownFrameError(InputError):
    """The file has no such frame."""


class UnknownClassError(InputError):
    """The network was not trained on the class to explain."""


class PictureFormatError(InputError):
    """The picture was requested in a format that cannot hold it."""


class ResultSourceError(InputError):
    """DICOM results were requested for an image that they cannot belong to."""


class ResultViewError(InputError):
    """DICOM results were requested of a view that is a layer for a page."""


class ResultPackagesError(InputError):
    """DICOM results were requested, and the packages that write them are not installed."""


class CheckpointError(ModelError):
    """A weight file is missing, damaged, foreign or does not match its card."""


class ImagesNotFoundError(ModelError):
    """The folders or patterns of a command contain no image."""


class ClusterError(ModelError):
    """The cluster of a command cannot be reached, or fails."""


class OutputError(ModelError):
    """A command cannot write its output without harm to existing files."""
