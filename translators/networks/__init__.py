"""Networks and how they are applied: U-Nets, noise schedules, windows, ONNX files."""
