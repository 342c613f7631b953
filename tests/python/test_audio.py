"""WAV files, the short-time Fourier transform against formulas, mel features, spoken digits."""

from __future__ import annotations

import math
import os
import struct
import tarfile
import wave
from pathlib import Path

import numpy as np
import pytest

import gradstone as gs
from gradstone import audio

ROOT = Path(__file__).resolve().parents[2]
DATA = (
    Path(os.environ.get("GRADSTONE_SEED_PROGRAMS", ROOT.parent / "shared" / "seed_programs")).parent
    / "data"
)


def sine(hz, rate=8000, seconds=0.5, dtype=np.float64):
    return np.sin(2 * math.pi * hz * np.arange(int(rate * seconds)) / rate).astype(dtype)


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape)


# ------------------------------------------------------------------------------------------ WAV


def pcm(path, codes, bits, channels=1, rate=8000):
    """A file written by the standard library."""
    if bits == 8:
        raw = (codes + 128).astype(np.uint8).tobytes()
    else:
        raw = b"".join(int(c).to_bytes(bits // 8, "little", signed=True) for c in codes)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(raw)


def riff(*chunks):
    body = b"".join(k + struct.pack("<I", len(b)) + b + b"\0" * (len(b) % 2) for k, b in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def fmt(coding, bits, channels=1, rate=8000):
    frame = channels * bits // 8
    return b"fmt ", struct.pack("<HHIIHH", coding, channels, rate, rate * frame, frame, bits)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_pcm(tmp_path, bits):
    full = 2 ** (bits - 1)
    codes = np.array([0, 1, -1, full // 2, full - 1, -full], np.int64)
    pcm(tmp_path / "a.wav", codes, bits, channels=2, rate=44100)
    samples, rate = audio.read_wav(tmp_path / "a.wav")
    assert rate == 44100
    assert samples.dtype == gs.float32
    assert samples.shape == (2, 3)
    np.testing.assert_array_equal(samples.numpy(), (codes / full).astype("f4").reshape(3, 2).T)


@pytest.mark.parametrize("bits", [32, 64])
def test_float_and_extensible(bits):
    values = np.array([0.0, 0.25, -1.5], f"<f{bits // 8}")
    data = riff((b"LIST", b"odd"), fmt(3, bits), (b"data", values.tobytes()))
    np.testing.assert_array_equal(audio.read_wav(data)[0].numpy(), values[None].astype("f4"))
    kind, body = fmt(0xFFFE, bits)
    body += struct.pack("<HHIH", 22, bits, 0, 3) + b"\0" * 14
    samples, _ = audio.read_wav(riff((kind, body), (b"data", values.tobytes())))
    np.testing.assert_array_equal(samples.numpy(), values[None].astype("f4"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a WAV file"),
        (b"RIFF\0\0\0\0AVI ", "not a WAV file"),
        (riff(), "no format"),
        (riff(fmt(1, 16)), "no samples"),
        (riff((b"data", b"")), "before their format"),
        (riff((b"fmt ", b"\1\0")), "format has 2 bytes"),
        (riff(fmt(7, 8), (b"data", b"")), "mu-law of 8 bits"),
        (riff(fmt(1, 12), (b"data", b"")), "PCM of 12 bits"),
        (riff(fmt(1, 16, channels=0), (b"data", b"")), "0 channels"),
        (riff(fmt(1, 16), (b"data", b"abc")), "last frame is not complete"),
        (riff(fmt(1, 16), (b"data", b"abcd"))[:-2], "samples end before their size"),
    ],
)
def test_damaged_files(tmp_path, data, message):
    path = tmp_path / "broken.wav"
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match=message) as error:
        audio.read_wav(path)
    assert "broken.wav" in str(error.value)


def test_every_cut_and_every_changed_byte_is_read_or_refused():
    whole = riff(fmt(1, 16, channels=2), (b"LIST", b"odd"), (b"data", bytes(range(16))))
    for end in range(len(whole)):
        with pytest.raises(RuntimeError, match="WAV data"):
            audio.read_wav(whole[:end])
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        try:
            samples, rate = audio.read_wav(bytes(data))
        except RuntimeError:
            refused += 1
        else:
            assert samples.dim() == 2
            assert rate > 0
    assert 0 < refused < 2000


def test_written_files_are_read_back(tmp_path):
    x = gs.tensor([[0.0, 0.5, -1.0, 2.0], [0.25, -0.25, 0.0, -2.0]])
    audio.write_wav(tmp_path / "a.wav", x, 16000)
    again, rate = audio.read_wav(tmp_path / "a.wav")
    assert rate == 16000
    assert again.tolist() == [[0, 0.5, -1, 32767 / 32768], [0.25, -0.25, 0, -1]]
    with pytest.raises(ValueError, match="not finite"):
        audio.write_wav(tmp_path / "b.wav", gs.tensor([math.nan]), 8000)
    with pytest.raises(ValueError, match=r"\(channels, frames\)"):
        audio.write_wav(tmp_path / "b.wav", gs.zeros(1, 2, 3), 8000)
    with pytest.raises(ValueError, match="1 Hz"):
        audio.write_wav(tmp_path / "b.wav", x, 0)
    with pytest.raises(ValueError, match="1 Hz"):
        audio.write_wav(tmp_path / "b.wav", x, 1 << 33)
    with pytest.raises(TypeError, match=r"floats in \[-1, 1\], got gradstone.int16"):
        audio.write_wav(tmp_path / "b.wav", gs.tensor([100], dtype=gs.int16), 8000)
    assert not (tmp_path / "b.wav").exists()


# ----------------------------------------------------------------------------------- transforms


def test_windows():
    # Values by the cosine form 1/2 - 1/2 cos(2 pi k / N).
    k = np.arange(8)
    periodic, symmetric = audio.hann_window(8), audio.hann_window(8, periodic=False)
    np.testing.assert_allclose(periodic, 0.5 - 0.5 * np.cos(2 * math.pi * k / 8), atol=1e-7)
    np.testing.assert_allclose(symmetric, np.hanning(8), atol=1e-7)
    assert audio.hann_window(1).tolist() == [1]


def direct(x, n_fft, hop, window):
    """The defining sum, by a matrix of exponentials."""
    t = np.arange(n_fft)
    kernel = np.exp(-2j * math.pi * np.outer(np.arange(n_fft // 2 + 1), t) / n_fft)
    starts = range(0, len(x) - n_fft + 1, hop)
    return np.stack([kernel @ (x[s : s + n_fft] * window) for s in starts], 1)


@pytest.mark.parametrize(("n_fft", "hop"), [(16, 4), (15, 7), (1, 1), (32, 40)])
def test_stft_is_the_defining_sum(n_fft, hop):
    x = noise(101)
    out = audio.stft(x, n_fft, hop, center=False)
    assert out.dtype == gs.float64
    window = np.sin(math.pi * np.arange(n_fft) / n_fft) ** 2 if n_fft > 1 else np.ones(1)
    expected = direct(x, n_fft, hop, window)
    got = out.numpy()
    np.testing.assert_allclose(got[..., 0] + 1j * got[..., 1], expected, atol=1e-12)


def test_stft_centres_and_pads():
    x = noise(50)
    window = gs.tensor(noise(10), dtype=gs.float64)
    padded = np.concatenate([x[8:0:-1], x, x[-2:-10:-1]])
    frame = np.concatenate([np.zeros(3), window.numpy(), np.zeros(3)])
    got = audio.stft(x, 16, 5, win_length=10, window=window).numpy()
    np.testing.assert_allclose(got[..., 0] + 1j * got[..., 1], direct(padded, 16, 5, frame))
    zeros = np.concatenate([np.zeros(8), x, np.zeros(8)])
    got = audio.stft(x, 16, 5, win_length=10, window=window, pad_mode="constant").numpy()
    np.testing.assert_allclose(got[..., 0] + 1j * got[..., 1], direct(zeros, 16, 5, frame))


def test_batches_equal_single_signals():
    x = gs.tensor(noise(2, 3, 400).astype(np.float32))
    for f in (
        lambda x: audio.stft(x, 64),
        lambda x: audio.spectrogram(x, 64, power=1),
        lambda x: audio.log_mel_spectrogram(x, 8000, 64, 16, n_mels=10),
        lambda x: audio.mfcc(x, 8000, 5, 64, n_mels=10),
        lambda x: audio.resample(x, 8000, 6000),
    ):
        whole = f(x)
        assert whole.dtype == gs.float32
        assert whole.shape[:2] == (2, 3)
        np.testing.assert_allclose(whole[1, 2].numpy(), f(x[1, 2]).numpy(), rtol=2e-4, atol=2e-5)


def test_a_sine_peaks_in_its_bin():
    for k in (3, 17, 100):
        power = audio.spectrogram(sine(k * 8000 / 256), 256, 64)
        assert set(power[:, 2:-2].argmax(0).tolist()) == {k}
        # A whole number of periods under a Hann window: amplitude N / 4, so power N^2 / 16.
        np.testing.assert_allclose(power[k, 5].item(), 256**2 / 16, rtol=1e-6)


def test_parseval():
    x = noise(128)
    ones = gs.ones(128, dtype=gs.float64)
    power = audio.spectrogram(x, 128, window=ones, center=False)[:, 0].numpy()
    both_sides = power[0] + power[-1] + 2 * power[1:-1].sum()
    np.testing.assert_allclose(both_sides / 128, (x**2).sum(), rtol=1e-12)


def test_stft_errors():
    x = gs.zeros(100)
    for arguments, message in [
        ((x, 0), "n_fft"),
        ((x, 64, 0), "hop_length"),
        ((x, 64, 16, 80), "at most n_fft 64, got 80"),
        ((x, 256), "too few to reflect 128"),
        ((x, 64, 16, 64, gs.ones(32)), r"\(64,\), got \(32,\)"),
        ((gs.tensor(1.0), 64), r"shape \(\.\.\., time\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            audio.stft(*arguments)
    with pytest.raises(ValueError, match="fewer than a frame"):
        audio.stft(x, 256, center=False)
    with pytest.raises(ValueError, match="pad_mode"):
        audio.stft(x, 64, pad_mode="edge")
    with pytest.raises(TypeError, match="real samples"):
        audio.stft(np.zeros(100, complex), 64)
    with pytest.raises(TypeError, match="unexpected keyword argument 'centre'"):
        audio.mfcc(x, 8000, centre=False)


# ------------------------------------------------------------------------------------------ mel


def test_known_mel_values():
    # The HTK formula is made so that 1000 Hz is 1000 mel; 2595 log10(1 + 10) at 7000 Hz.
    assert audio.hz_to_mel(0) == 0
    assert audio.hz_to_mel(1000) == pytest.approx(999.9855, abs=1e-3)
    assert audio.hz_to_mel(7000) == pytest.approx(2595 * math.log10(11), rel=1e-12)
    # Slaney's: 1000 Hz is 15 steps of 66.67 Hz, 6400 Hz is 27 logarithmic steps above.
    assert audio.hz_to_mel(200, "slaney") == pytest.approx(3)
    assert audio.hz_to_mel(1000, "slaney") == pytest.approx(15)
    assert audio.hz_to_mel(6400, "slaney") == pytest.approx(42)
    for scale in ("htk", "slaney"):
        hz = np.array([0.0, 60.0, 999.0, 1001.0, 8000.0])
        np.testing.assert_allclose(audio.mel_to_hz(audio.hz_to_mel(hz, scale), scale), hz)
    with pytest.raises(ValueError, match="'htk' or 'slaney'"):
        audio.hz_to_mel(1, "bark")


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_filter_bank(scale):
    bank = audio.mel_filter_bank(20, 513, 16000, 50.0, 7000.0, scale).numpy()
    hz = np.linspace(0, 8000, 513)
    corners = audio.mel_to_hz(
        np.linspace(audio.hz_to_mel(50.0, scale), audio.hz_to_mel(7000.0, scale), 22), scale
    )
    for m in range(20):  # straight lines from 0 to 1 to 0 between the corners, by interpolation
        expected = np.interp(hz, corners[m : m + 3], [0, 1, 0], left=0, right=0)
        np.testing.assert_allclose(bank[m], expected, atol=1e-6)
    # Between the first and the last peak neighbouring triangles add up to 1.
    inside = (hz > corners[1]) & (hz < corners[-2])
    np.testing.assert_allclose(bank.sum(0)[inside], 1, atol=1e-5)
    areas = audio.mel_filter_bank(20, 5130, 16000, 50.0, 7000.0, scale, "slaney").sum(1)
    np.testing.assert_allclose(areas.numpy() * 8000 / 5129, 1, rtol=5e-3)


def test_filters_without_a_frequency_are_told():
    with pytest.warns(UserWarning, match="138 of 200 filters are empty"):
        audio.mel_filter_bank(200, 33, 8000)


def test_filter_bank_errors():
    with pytest.raises(ValueError, match=r"f_min < f_max <= 4000 .*got 0\.0 and 5000"):
        audio.mel_filter_bank(10, 65, 8000, f_max=5000)
    with pytest.raises(ValueError, match="norm"):
        audio.mel_filter_bank(10, 65, 8000, norm="area")


def test_log_mel_of_a_sine():
    x = sine(1000)
    logs = audio.log_mel_spectrogram(x, 8000, 256, 80, n_mels=20)
    assert logs.shape == (20, 51)
    peaks = np.linspace(0, audio.hz_to_mel(4000), 22)[1:-1]
    assert logs[:, 25].argmax().item() == np.abs(peaks - audio.hz_to_mel(1000)).argmin()
    mel = audio.mel_spectrogram(x, 8000, 256, 80, n_mels=20)
    bank = audio.mel_filter_bank(20, 129, 8000).numpy()
    np.testing.assert_allclose(mel, bank @ audio.spectrogram(x, 256, 80).numpy(), rtol=1e-4)
    np.testing.assert_allclose(logs, np.log(np.maximum(mel.numpy(), 1e-10)), rtol=1e-6)
    silence = audio.log_mel_spectrogram(gs.zeros(512), 8000, 256, floor=1e-6)
    np.testing.assert_allclose(silence, math.log(1e-6), rtol=1e-6)


def test_dct():
    matrix = audio.dct_matrix(8, 8).numpy()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(8), atol=1e-6)
    # The DCT-II is the real FFT of the signal and its mirror image, turned by half a sample.
    x = noise(8)
    spectrum = np.fft.fft(np.concatenate([x, x[::-1]]))[:8]
    turned = (spectrum * np.exp(-1j * math.pi * np.arange(8) / 16)).real
    np.testing.assert_allclose(audio.dct_matrix(8, 8, False).numpy() @ x, turned, rtol=1e-5)
    assert audio.dct_matrix(3, 8).shape == (3, 8)
    with pytest.raises(ValueError, match="at most 8 rows, got 9"):
        audio.dct_matrix(9, 8)


def test_mfcc_is_the_dct_of_log_mel():
    x = noise(800)
    logs = audio.log_mel_spectrogram(x, 8000, 200, 80, n_mels=24).numpy()
    got = audio.mfcc(x, 8000, 13, 200, 80, n_mels=24)
    assert got.shape == (13, 11)
    np.testing.assert_allclose(got, audio.dct_matrix(13, 24).numpy() @ logs, rtol=1e-5, atol=1e-5)
    # The first coefficient is the mean times sqrt(n).
    np.testing.assert_allclose(got[0], logs.mean(0) * math.sqrt(24), rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new"), [(8000, 16000), (16000, 8000), (8000, 11025), (44100, 8000)]
)
def test_resample_keeps_a_sine(old, new):
    out = audio.resample(sine(440, old), old, new)
    expected = sine(440, new)
    assert out.shape == (math.ceil(old * 0.5 * new / old),)
    edge = new // 100
    np.testing.assert_allclose(out[edge:-edge].numpy(), expected[edge : len(out) - edge], atol=2e-3)


def test_resample_removes_what_the_new_rate_cannot_hold():
    out = audio.resample(sine(6000, 16000), 16000, 8000)
    assert out[100:-100].abs().max().item() < 2e-3
    x = gs.tensor([1.0, 2.0])
    assert gs.equal(audio.resample(x, 8000, 8000), x)


# ---------------------------------------------------------------------------------- spoken digits


@pytest.fixture
def digits(tmp_path):
    """Two takes of each of two speakers: sample counts tell them apart."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for digit in (0, 7):
        for take in (4, 5):
            pcm(folder / f"{digit}_ann_{take}.wav", np.full(10 * digit + take, 100), 16)
    (folder / "readme.wav").write_bytes(b"not a recording")
    return tmp_path


def test_spoken_digits_of_a_folder(digits):
    train, test = audio.SpokenDigits(digits), audio.SpokenDigits(digits, "test")
    assert (train.targets, train.takes, test.takes) == ([0, 7], [5, 5], [4, 4])
    assert train.speakers == ["ann", "ann"]
    samples, digit = test[1]
    assert (samples.shape, digit) == ((74,), 7)
    assert samples[0].item() == 100 / 32768
    assert len(audio.SpokenDigits(digits, None)) == 4
    assert audio.SpokenDigits(digits, transform=len)[1] == (75, 7)


@pytest.mark.parametrize("ending", ["gz", "xz"])
def test_spoken_digits_of_an_archive(digits, tmp_path, ending):
    (tmp_path / "packed").mkdir()
    path = tmp_path / "packed" / f"fsdd.tar.{ending}"
    with tarfile.open(path, f"w:{ending}") as archive:
        archive.add(digits / "recordings", "free-spoken-digit-dataset-1.0.9/recordings")
    assert [len(s) for s in audio.SpokenDigits(tmp_path / "packed", None).samples] == [4, 5, 74, 75]
    whole = path.read_bytes()
    for length in (len(whole) - 60, len(whole) // 2, len(whole) // 4):
        path.write_bytes(whole[:length])
        with pytest.raises(RuntimeError, match="is damaged"):
            audio.SpokenDigits(tmp_path / "packed", None)


def test_missing_digits(tmp_path, digits):
    with pytest.raises(RuntimeError, match=r"no WAV files in .*github\.com/Jakobovski"):
        audio.SpokenDigits(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="got 'valid'"):
        audio.SpokenDigits(digits, "valid")
    pcm(digits / "recordings" / "1_ann_6.wav", np.zeros(4), 16, rate=16000)
    with pytest.raises(RuntimeError, match=r"1_ann_6\.wav: expected 8000 Hz, got 16000"):
        audio.SpokenDigits(digits)


def test_digits_are_fetched_where_there_are_none(tmp_path, digits, monkeypatch):
    nowhere = {"free-spoken-digit-dataset.tar.gz": ("http://127.0.0.1:9/a.tar.gz", "0" * 32)}
    monkeypatch.setattr(audio.SpokenDigits, "resources", nowhere)
    assert len(audio.SpokenDigits(digits, None, download=True)) == 4
    with pytest.raises(RuntimeError, match=r"(?s)is there a network\?.*127\.0\.0\.1:9"):
        audio.SpokenDigits(tmp_path / "empty", download=True)


@pytest.mark.skipif(not (DATA / "fsdd").is_dir(), reason=f"no spoken digits at {DATA / 'fsdd'}")
def test_real_recordings():
    train, test = audio.SpokenDigits(DATA), audio.SpokenDigits(DATA, "test")
    assert (len(train), len(test)) == (600, 300)
    assert len(set(train.speakers)) == 6
    assert np.bincount(test.targets).tolist() == [30] * 10
    seconds = sum(len(s) for s in train.samples + test.samples) / 8000
    assert 390 < seconds < 392


def test_silence_has_a_finite_logarithm():
    for floor in (1e-10, 1e-60):
        logs = audio.log_mel_spectrogram(gs.zeros(800), 8000, n_mels=20, floor=floor)
        assert bool(gs.isfinite(logs).all())
    quiet = audio.log_mel_spectrogram(gs.zeros(800, dtype=gs.float64), 8000, n_mels=20, floor=1e-60)
    assert quiet.min().item() == pytest.approx(math.log(1e-60))


def test_samples_of_16_bits():
    x = gs.sin(gs.arange(400.0))
    for dtype in (gs.float16, gs.bfloat16):
        same = audio.stft(x.to(dtype), 64)
        assert same.dtype == gs.float32
        assert same.tolist() == audio.stft(x.to(dtype).float(), 64).tolist()
