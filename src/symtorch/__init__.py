"""SymTorch: turn trained neural networks into equations."""
