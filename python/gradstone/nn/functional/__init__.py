"""Layers as functions: PyTorch's signatures over the native operations.

Shapes are N C H W for images, N C L for sequences of channels, (..., features) for ``linear``.
Names that need no more than the native operation are that operation.
"""

from gradstone.nn.functional.activation import (
    elu,
    gelu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    relu_,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
)
from gradstone.nn.functional.bags import (
    embedding_bag,
)
from gradstone.nn.functional.convolution import (
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    fold,
    pad,
    unfold,
)
from gradstone.nn.functional.distance import (
    cosine_embedding_loss,
    pairwise_distance,
    triplet_margin_with_distance_loss,
)
from gradstone.nn.functional.dropouts import (
    dropout,
    dropout1d,
    dropout2d,
)
from gradstone.nn.functional.likelihood import (
    gaussian_nll_loss,
    poisson_nll_loss,
)
from gradstone.nn.functional.linear_maps import (
    bilinear,
    cosine_similarity,
    embedding,
    linear,
    one_hot,
    scaled_dot_product_attention,
)
from gradstone.nn.functional.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from gradstone.nn.functional.margin_loss import (
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
)
from gradstone.nn.functional.normalization import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    normalize,
)
from gradstone.nn.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from gradstone.nn.functional.resampling import (
    interpolate,
    pixel_shuffle,
    pixel_unshuffle,
)
from gradstone.nn.functional.root_mean_square import (
    rms_norm,
)
from gradstone.nn.functional.shrinkage import (
    celu,
    hardshrink,
    selu,
    softshrink,
    tanhshrink,
    threshold,
)
from gradstone.nn.functional.softmaxes import (
    gumbel_softmax,
    log_softmax,
    softmax,
    softmin,
)
