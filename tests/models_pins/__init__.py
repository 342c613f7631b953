"""Standard networks against PyTorch's own layers: cases, references and pinned results."""
