"""Everything that can go wrong between bytes and an answer, named.

    request   data (bytes) -> image -> inputs -> logits -> probabilities, heatmap
                   |            |                  |
                   |            |                  UnknownClassError (a class nobody trained)
                   |            ImageTooSmallError, BlankImageError
                   UnsupportedFormatError, ImageTooLargeError, TruncatedImageError,
                   UnsupportedPixelsError, UnknownFrameError (DICOM)

    results   image (DICOM), prediction, picture -> files: ResultSourceError, ResultPackagesError

    start     file -> checkpoint -> card, network -> engine -> self-test
               |          |              |                         |
               +----------+-- CheckpointError ---------------------+

Messages say what was expected, what was found and what to do. They are written for the sender of the
image and may be shown to him: they hold no file name, no path and no text of a library's exception.
`CheckpointError` is for the person who starts the service, and does name the file.
"""


class ModelError(Exception):
    """Any error this package raises on purpose."""


class InputError(ModelError):
    """The image that was sent cannot be judged; the message says why."""


class UnsupportedFormatError(InputError):
    """The bytes are not in a format this service reads."""


class ImageTooLargeError(InputError):
    """The image has more pixels than may be decoded."""


class UnusableImageError(InputError):
    """The format is right but no prediction can be made from the content."""


class TruncatedImageError(UnusableImageError):
    """The image data ends early or is damaged."""


class ImageTooSmallError(UnusableImageError):
    """Too few pixels to show a brain."""


class BlankImageError(UnusableImageError):
    """Every pixel has the same value."""


class UnsupportedPixelsError(UnusableImageError):
    """The format is read, but not the way in which this file stores its pixels."""


class UnknownFrameError(InputError):
    """The frame to judge is not one of the file's."""


class UnknownClassError(InputError):
    """The class to explain is not one the network was trained on."""


class ResultSourceError(InputError):
    """DICOM results were asked for, and the image is no DICOM image that they could belong to."""


class ResultViewError(InputError):
    """DICOM results were asked for of a view that is a layer for a page."""


class ResultPackagesError(InputError):
    """DICOM results were asked for, and what writes them is not installed."""


class CheckpointError(ModelError):
    """A weight file is missing, damaged, foreign or does not do what its card says."""


class ImagesNotFoundError(ModelError):
    """A command was given folders or patterns in which there is nothing to judge."""


class ClusterError(ModelError):
    """A cluster that a command was told to use cannot be reached, or fails."""


class OutputError(ModelError):
    """A command cannot write where it was told to without harm to what is there."""
