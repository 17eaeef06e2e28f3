"""Images are decoded to the last byte, and no file's pixels are another's."""

import struct

import cv2
import numpy as np
import pytest
from copies import picture, save
from PIL import Image

from anna import decoding, pool


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "1", "CMYK"])
def test_every_eight_bit_mode_becomes_rgb(tmp_path, mode):
    source = Image.fromarray(picture(99)).convert(mode)
    kind = "tiff" if mode == "CMYK" else "png"
    source.save(tmp_path / f"any.{kind}")
    found = decoding.decode(tmp_path / f"any.{kind}")
    assert found.shape == (24, 24, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_black(tmp_path, mode):
    image = Image.new(mode, (8, 8), (200, 0) if mode == "LA" else (200, 100, 50, 0))
    image.save(tmp_path / "clear.png")
    assert decoding.decode(tmp_path / "clear.png").max() == 0


def test_red_comes_first(tmp_path):
    save(tmp_path / "red.bmp", np.full((4, 4, 3), (200, 10, 30), np.uint8))
    assert decoding.decode(tmp_path / "red.bmp")[0, 0].tolist() == [200, 10, 30]


def top_down(path, pixels):
    """Writes a BMP whose lines stand from top to bottom, as its negative height says."""
    save(path, pixels[::-1])
    content = bytearray(path.read_bytes())
    content[22:26] = (-len(pixels)).to_bytes(4, "little", signed=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "write", [save, top_down, lambda path, x: save(path.with_suffix(".png"), x)]
)
@pytest.mark.parametrize("width", [21, 24])
def test_what_is_cut_is_what_is_not_black_of_what_is_decoded(tmp_path, write, width):
    pixels = np.zeros((30, width, 3), np.uint8)
    pixels[4:17, 3:14] = picture(5)[:13, :11] | 1
    write(tmp_path / "cell.bmp", pixels)
    (path,) = tmp_path.iterdir()
    np.testing.assert_array_equal(decoding.decode(path), pixels)
    found = decoding.cut(path)
    assert (found.shape, found.mode, found.box) == ((30, width), "RGB", (3, 4, 11, 13))
    np.testing.assert_array_equal(found.pixels, pixels[4:17, 3:14])


def test_nothing_is_cut_of_black(tmp_path):
    save(tmp_path / "black.bmp", np.zeros((9, 9, 3), np.uint8))
    found = decoding.cut(tmp_path / "black.bmp")
    assert (found.shape, found.box, found.pixels.shape) == ((9, 9), (0, 0, 0, 0), (0, 0, 3))


def test_files_read_one_after_another_and_at_once_do_not_mix(tmp_path):
    made = [picture(i)[: 24 - i % 5] | 16 for i in range(40)]
    paths = [tmp_path / f"{i}.bmp" for i in range(40)]
    for path, pixels in zip(paths, made, strict=True):
        save(path, pixels)
    for read in (decoding.decode, lambda path: decoding.cut(path).pixels):
        for found, pixels in zip(list(pool.each(read, paths)), made, strict=True):
            np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("cut", [3, 1000, 300_000, 608_430])
def test_a_truncated_file_is_found(sample_root, tmp_path, cut):
    path = next(sample_root.rglob("fold_0/all/*.bmp"))
    (tmp_path / "cut.bmp").write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(decoding.ImageError, match=r"cut\.bmp: not a readable image"):
        decoding.decode(tmp_path / "cut.bmp")


def test_what_is_no_image_is_an_image_error(tmp_path):
    (tmp_path / "empty.bmp").touch()
    (tmp_path / "text.bmp").write_text("BM, or not to BM")
    (tmp_path / "folder.bmp").mkdir()
    (tmp_path / "link.bmp").symlink_to(tmp_path / "nowhere.bmp")
    for name in ("empty.bmp", "text.bmp", "folder.bmp", "link.bmp", "missing.bmp"):
        with pytest.raises(decoding.ImageError, match=name):
            decoding.decode(tmp_path / name)


def test_sixteen_bits_and_giants_are_refused(tmp_path, monkeypatch):
    Image.fromarray(np.full((8, 8), 999, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(decoding.ImageError, match=r"deep\.png.*8 bits.*mode I;16"):
        decoding.decode(tmp_path / "deep.png")
    save(tmp_path / "large.bmp", picture(1))
    monkeypatch.setattr(decoding, "LARGEST", 24 * 24 - 1)
    with pytest.raises(decoding.ImageError, match=r"large\.bmp: too large. Received: 24×24"):
        decoding.decode(tmp_path / "large.bmp")


def deep(path, pixels, bits):
    """Writes RGB(A) of 8 bits as `bits` bits in a file of 16."""
    last = 3 if pixels.shape[2] == 4 else 2
    order = [2, 1, 0, 3][: last + 1]  # OpenCV's
    spread = pixels.astype(np.uint32) * (2**bits - 1) // 255
    assert cv2.imwrite(str(path), spread.astype(np.uint16)[..., order])


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bits_are_scaled_by_the_depth_that_they_use(tmp_path, name, bits):
    pixels = np.zeros((30, 24, 3), np.uint8)
    pixels[4:17, 3:14] = np.random.default_rng(0).integers(40, 120, (13, 11, 3))
    deep(tmp_path / name, pixels, bits)
    np.testing.assert_array_equal(decoding.decode(tmp_path / name), pixels)
    found = decoding.cut(tmp_path / name)
    assert (found.mode, found.box) == ("RGB", (3, 4, 11, 13))
    np.testing.assert_array_equal(found.pixels, pixels[4:17, 3:14])


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_sixteen_bits_may_be_transparent(tmp_path, name):
    pixels = np.full((8, 8, 4), (200, 100, 50, 255), np.uint8)
    pixels[:4, :, 3] = 0
    deep(tmp_path / name, pixels, 16)
    found = decoding.decode(tmp_path / name)
    assert found[:4].max() == 0
    assert found[5, 5].tolist() == [200, 100, 50]


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_a_truncated_file_of_sixteen_bits_is_found(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    deep(tmp_path / name, pixels, 12)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-3000])
    with pytest.raises(decoding.ImageError, match=r"deep\.\w+: not a readable image"):
        decoding.decode(tmp_path / name)


def test_sixteen_bits_of_inks_are_refused(tmp_path):
    deep(tmp_path / "inks.tif", np.full((8, 8, 4), 90, np.uint8), 16)
    content = (tmp_path / "inks.tif").read_bytes()
    light, inks = (struct.pack("<HHLL", 262, 3, 1, kind) for kind in (2, 5))  # of a TIFF's tag
    assert content.count(light) == 1
    (tmp_path / "inks.tif").write_bytes(content.replace(light, inks))
    with pytest.raises(decoding.ImageError, match=r"inks\.tif: more than 8 bits.*mode CMYK"):
        decoding.decode(tmp_path / "inks.tif")


def test_a_bomb_is_refused(tmp_path):
    save(tmp_path / "bomb.bmp", picture(1))
    content = bytearray((tmp_path / "bomb.bmp").read_bytes())
    content[18:26] = (60_000).to_bytes(4, "little") * 2  # width and height in the header
    (tmp_path / "bomb.bmp").write_bytes(content)
    with pytest.raises(decoding.ImageError, match=r"bomb\.bmp"):
        decoding.decode(tmp_path / "bomb.bmp")


def test_a_tiff_of_several_pictures_is_refused_and_one_with_its_small_copies_is_not(tmp_path):
    pictures = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    options = {"save_all": True, "append_images": pictures[1:]}
    pictures[0].save(tmp_path / "two.tif", **options)
    with pytest.raises(decoding.ImageError, match=r"two\.tif: more than one picture"):
        decoding.decode(tmp_path / "two.tif")
    pictures[1].encoderinfo = {"tiffinfo": {254: 1}}
    pictures[0].save(tmp_path / "pyramid.tif", **options)
    assert decoding.decode(tmp_path / "pyramid.tif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("name", ["near.png", "near.bmp"])
def test_a_background_that_is_nearly_black_is_black(tmp_path, name):
    rng = np.random.default_rng(0)
    cell = np.zeros((40, 40, 3), np.uint8)
    cell[10:30, 12:28] = rng.integers(9, 200, (20, 16, 3))
    near = np.where(cell > 0, cell, rng.integers(0, 3, cell.shape, np.uint8))
    Image.fromarray(near).save(tmp_path / name)
    np.testing.assert_array_equal(decoding.decode(tmp_path / name), cell)
    found = decoding.cut(tmp_path / name)
    assert found.box == (12, 10, 16, 20)
    np.testing.assert_array_equal(found.pixels, cell[10:30, 12:28])


def test_dark_pixels_of_a_cell_stay_where_the_edge_is_black_or_bright(tmp_path):
    for edge in (0, 60):
        image = np.full((40, 40, 3), edge, np.uint8)
        image[10:30, 12:28] = 3
        Image.fromarray(image).save(tmp_path / "dark.png")
        np.testing.assert_array_equal(decoding.decode(tmp_path / "dark.png"), image)
