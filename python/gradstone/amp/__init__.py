"""Mixed precision: `autocast` and `GradScaler`.

Parameters stay in float32, and so do their gradients. Inside `autocast` matrix products,
convolutions and recurrent layers compute in 16 bits, and what would lose its meaning there in
float32:

    scaler = gs.amp.GradScaler("cuda", enabled=dtype is gs.float16)  # bfloat16 needs none
    with gs.autocast("cuda", dtype):
        loss = criterion(model(x), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
"""

from gradstone.amp.autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from gradstone.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
