from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from continuo.testbed.images import IMAGES, Image, write_archive, write_images


def contents(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def test_every_image_of_the_archive_is_whole(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"a static program")
    write_archive(tmp_path / "images.tar", program)
    files = contents(tmp_path / "images.tar")
    for name, content in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"

    def blob(descriptor: dict[str, object]) -> bytes:
        content = files["blobs/" + str(descriptor["digest"]).replace(":", "/")]
        assert len(content) == descriptor["size"]
        return content

    manifests = json.loads(files["index.json"])["manifests"]
    names = [entry["annotations"]["io.containerd.image.name"] for entry in manifests]
    assert names == [f"localhost/{image.name}:1" for image in IMAGES]
    for image, entry in zip(IMAGES, manifests, strict=True):
        manifest = json.loads(blob(entry))
        config = json.loads(blob(manifest["config"]))
        assert config["config"]["Entrypoint"] == list(image.entrypoint)
        [layer] = manifest["layers"]
        assert config["rootfs"]["diff_ids"] == [layer["digest"]]
        blob(layer)


def test_a_layer_has_what_its_images_run(tmp_path: Path) -> None:
    for name in ("program", "busybox"):
        (tmp_path / name).write_bytes(name.encode())
    write_archive(tmp_path / "images.tar", tmp_path / "program", tmp_path / "busybox")
    [layer] = [content for content in contents(tmp_path / "images.tar").values() if b"etc/passwd" in content]
    (tmp_path / "layer.tar").write_bytes(layer)
    with tarfile.open(tmp_path / "layer.tar") as tar:
        links = {member.name: member.linkname for member in tar if member.issym()}
        assert tar.getmember("bin/continuo-images").mode == 0o755
    for image in IMAGES:
        assert links[image.entrypoint[0].lstrip("/")] == "continuo-images"
    assert links["bin/curl"] == links["bin/sleep"] == "continuo-images"
    assert links["bin/sh"] == "busybox"


def test_the_same_programs_make_the_same_archive(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"a static program")
    write_archive(tmp_path / "one.tar", program)
    write_archive(tmp_path / "two.tar", program)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_images_over_a_layer_of_ones_own_say_as_whom_and_with_what_environment_they_run(tmp_path: Path) -> None:
    image = Image("own", ("/bin/own",), tag="2", environment=("LANG=C",), user="65532:65532")
    write_images(tmp_path / "own.tar", (image,), b"a layer")
    files = contents(tmp_path / "own.tar")
    assert files[f"blobs/sha256/{hashlib.sha256(b'a layer').hexdigest()}"] == b"a layer"
    [config] = [found for content in files.values() if b"Entrypoint" in content for found in [json.loads(content)]]
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Env"] == ["LANG=C"]
