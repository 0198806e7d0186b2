"""The version of the code; the weights have their own, in their card."""

VERSION = "0.2.0"
