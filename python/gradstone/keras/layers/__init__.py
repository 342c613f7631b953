"""Keras's layers."""

from gradstone.keras.layer import Layer
from gradstone.keras.layers.activation import (
    ELU,
    Activation,
    Dropout,
    GaussianNoise,
    LeakyReLU,
    ReLU,
    Softmax,
    SpatialDropout1D,
    SpatialDropout2D,
)
from gradstone.keras.layers.attention import MultiHeadAttention
from gradstone.keras.layers.convolution import Conv1D, Conv2D, Conv2DTranspose, DepthwiseConv2D
from gradstone.keras.layers.core import Dense, Embedding, Input, InputLayer, Lambda
from gradstone.keras.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from gradstone.keras.layers.normalization import BatchNormalization, LayerNormalization
from gradstone.keras.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from gradstone.keras.layers.recurrent import GRU, LSTM, SimpleRNN
from gradstone.keras.layers.reshaping import (
    Cropping2D,
    Flatten,
    Masking,
    Permute,
    RepeatVector,
    Rescaling,
    Reshape,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from gradstone.keras.layers.wrappers import Bidirectional, TimeDistributed

# Keras's shorter names.
Convolution1D, Convolution2D = Conv1D, Conv2D
MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
