"""Where weights are read from: safetensors and PyTorch's zip files, without running any of them."""
