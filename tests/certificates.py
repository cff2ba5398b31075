"""Certificates for tests, made with `openssl`: an authority, what it signs, and what it revokes."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def needs_openssl():
    return pytest.mark.skipif(
        shutil.which("openssl") is None and not os.environ.get("MISCRIPT_NO_SKIPS"),
        reason="there is no openssl",
    )


def openssl(*arguments: object) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path


class Authority:
    """A CA in a folder; `ca` is its certificate."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.ca, self.ca_key = folder / f"{name}.pem", folder / f"{name}.key"
        subject = f"/C=AT/O=Test/CN={name}"
        openssl("req", "-x509", *NEW_KEY, "-keyout", self.ca_key, "-out", self.ca, "-days", "30", "-subj", subject)

    def issue(self, name: str, *, names: str = "", subject: str = "", serial: int = 1, days: int = 20) -> Issued:
        """A certificate; `names` are alternative ones, such as `DNS:a.example,IP:127.0.0.1`."""
        request, made = self.folder / f"{name}.csr", Issued(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        openssl("req", *NEW_KEY, "-keyout", made.key, "-out", request, "-subj", subject or f"/CN={name}")
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names or f'DNS:{name}'}\n")
        openssl(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-set_serial", serial,
            "-days", days, "-out", made.certificate, "-extfile", extensions,
        )  # fmt: skip
        return made

    def revoke(self, issued: Issued) -> Path:
        """A directory with a revocation list that names `issued`, under its hashed name."""
        folder = self.folder / f"crl-{issued.certificate.stem}"
        folder.mkdir()
        (folder / "index.txt").touch()
        settings = folder / "ca.cnf"
        settings.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index.txt\ndefault_md=sha256\ndefault_crl_days=30\n"
        )
        ca = ("ca", "-config", settings, "-cert", self.ca, "-keyfile", self.ca_key)
        openssl(*ca, "-revoke", issued.certificate)
        openssl(*ca, "-gencrl", "-out", folder / "crl.pem")
        name = openssl("crl", "-hash", "-noout", "-in", folder / "crl.pem").strip()
        (folder / "crl.pem").rename(folder / f"{name}.r0")
        return folder
