import platform

from training.fitting.memory import keep_freed_memory


def test_glibc_takes_the_options():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
