"""Makes `pytest interop/` the compatibility matrix."""

pytest_plugins = ["interop.runner.plugin"]
