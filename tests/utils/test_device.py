import platform
import resource

import pytest
import torch

from utils.device import use_cpu


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_used_again() -> None:
    threads = torch.get_num_threads()
    use_cpu(threads, keep_memory=True)
    n_pages = 64 * 2**20 // resource.getpagesize()  # glibc maps blocks above 32 MiB each time
    for expected in (None, 0.1 * n_pages):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.empty(16 * 2**20).zero_()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        assert expected is None or faults < expected
    assert torch.get_num_threads() == threads
