"""Long runs of many processes beside faults: not part of the suite, which runs a few seconds of each."""
