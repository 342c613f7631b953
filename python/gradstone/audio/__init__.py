"""Sound: reading WAV files, spectrograms from the short-time Fourier transform, spoken digits."""

from gradstone.audio.datasets import SpokenDigits
from gradstone.audio.features import log_mel_spectrogram, mel_spectrogram, mfcc
from gradstone.audio.mel import dct_matrix, hz_to_mel, mel_filter_bank, mel_to_hz
from gradstone.audio.resampling import resample
from gradstone.audio.spectrum import hann_window, spectrogram, stft
from gradstone.audio.wav import read_wav, write_wav

__all__ = [
    "SpokenDigits",
    "dct_matrix",
    "hann_window",
    "hz_to_mel",
    "log_mel_spectrogram",
    "mel_filter_bank",
    "mel_spectrogram",
    "mel_to_hz",
    "mfcc",
    "read_wav",
    "resample",
    "spectrogram",
    "stft",
    "write_wav",
]
