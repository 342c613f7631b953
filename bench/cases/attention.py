"""Scaled dot-product attention, and a Transformer layer."""

from . import both, of_module, training


def attention(b, h, t, d, causal):
    def of(train):
        def make(T):
            q, k, v = (T.randn(b, h, t, d) for _ in range(3))

            def forward():
                return T.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

            if not train:
                return forward
            return training(forward, [x.requires_grad_() for x in (q, k, v)])

        return make

    name = f"attention/{b}x{h}x{t}x{d}" + ("-causal" if causal else "")
    return both(name, of, 4.0 * b * h * t * t * d / (2 if causal else 1), factor=3.5)


def encoder_layer(train):
    return of_module(
        lambda T: T.nn.TransformerEncoderLayer(256, 8, 1024, dropout=0.0, batch_first=True),
        (16, 128, 256),
        train,
    )


CASES = [
    *attention(8, 12, 512, 64, True),
    *attention(8, 12, 512, 64, False),
    *attention(16, 8, 128, 32, True),
    *both("transformer_layer/16x128x256", encoder_layer),
]
