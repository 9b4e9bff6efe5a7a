"""Where images come from. Each module has ``find(spec, data_root, cache, progress) -> Source``."""
