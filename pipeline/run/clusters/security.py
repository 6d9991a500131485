"""Who may talk to a scheduler: whoever can runs code on its workers, so it takes a certificate."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.text import shown

_ENCRYPTED = ("tls", "wss")


def tls_settings(config: RunConfig) -> dict[str, Any]:
    """Dask's settings for the certificates of a run; none where ``config`` names none.

    Raises
    ------
    ConfigError
        A file is not there, or cannot be read.
    """
    if not config.tls_ca:
        return {}
    for path in (config.tls_ca, config.tls_cert, config.tls_key):
        if not os.access(path, os.R_OK) or not Path(path).is_file():
            raise ConfigError(f"{shown(path)}: cannot be read; `make certs` makes ca.pem, cert.pem and key.pem, and "
                              "--tls-ca, --tls-cert and --tls-key name them")
    roles = {f"distributed.comm.tls.{role}": {"cert": config.tls_cert, "key": config.tls_key}
             for role in ("client", "scheduler", "worker")}
    return {"distributed.comm.tls.ca-file": config.tls_ca, **roles, "distributed.comm.require-encryption": True}


def own_security() -> Any:
    """Make a key and a certificate for one run: the processes that are given them may connect, and nobody else.

    Both sides of each connection must show the certificate. Workers get it through the pipe by which they are started,
    so no command line or environment has it. Python's ``ssl`` reads keys from files only: for that moment Dask writes
    it to a folder that only this user can open. The certificate is valid for a year, from the day before, so that a
    clock that is set back locks nobody out. The key is of an elliptic curve, as making one takes no time.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from distributed.security import Security

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lookalike")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    begin, end = now - day, now + 365 * day
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
    cert = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                               serialization.NoEncryption()).decode()
    roles = {f"tls_{role}_{part}": value for role in ("client", "scheduler", "worker")
             for part, value in (("cert", cert), ("key", secret))}
    return Security(require_encryption=True, tls_ca_file=cert, **roles)


def has_certificates() -> bool:
    """Tell whether Dask, as it is now configured, has an authority and a certificate of its own."""
    from distributed.security import Security

    known = Security().get_tls_config_for_role("client")
    return bool(known["ca_file"] and known["cert"])


def check_address(address: str, config: RunConfig) -> None:
    """Refuse a scheduler without TLS unless ``config.insecure``, and TLS without certificates.

    Raises
    ------
    ConfigError
    ValueError
        This is no address.
    """
    from distributed.comm import get_address_host, parse_address

    scheme, _ = parse_address(address)
    if scheme in _ENCRYPTED:
        if not has_certificates():
            raise ConfigError(f"{address}: with which certificates? Name them by --tls-ca, --tls-cert and --tls-key "
                              "(`make certs` makes them), or in Dask's own configuration")
    elif scheme != "inproc":
        check_hosts([get_address_host(address)], config, is_encrypted=False)


def check_hosts(hosts: list[str], config: RunConfig, *, is_encrypted: bool) -> None:
    """Refuse a scheduler without TLS on these hosts, unless ``config.insecure``; on this machine alone as well."""
    if is_encrypted or config.insecure:
        return
    outside = [host for host in hosts if not is_loopback(host)]
    if outside:
        danger = f"a scheduler at {outside[0]} without TLS lets whoever reaches it run code on its workers"
        exception = "where the network is yours alone"
    else:
        danger = (f"a scheduler at {hosts[0]} without TLS lets every user of this machine run code as the user of its "
                  "workers")
        exception = "where nobody else uses this machine"
    raise ConfigError(f"{danger}; use tls:// with --tls-ca, --tls-cert and --tls-key (`make certs` makes them), or, "
                      f"{exception}, --insecure")


def is_loopback(host: str) -> bool:
    """Tell whether a name or address leads to this machine alone."""
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(one).partition("%")[0]).is_loopback for one in addresses)
