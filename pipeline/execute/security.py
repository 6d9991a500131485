"""Decide who may connect to a scheduler.

Anyone who can connect can run code on the workers. So a connection needs TLS with a certificate, unless the user allows
a scheduler without TLS.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.support.text import shown

_ENCRYPTED = ("tls", "wss")


def tls_settings(config: RunConfig) -> dict[str, Any]:
    """Return Dask's settings for the certificates that ``config`` names: key → value. Empty if it names none.

    Raises
    ------
    ConfigError
        A file is missing or cannot be read.
    """
    if not config.tls_ca:
        return {}
    for path in (config.tls_ca, config.tls_cert, config.tls_key):
        if not os.access(path, os.R_OK) or not Path(path).is_file():
            raise ConfigError(f"{shown(path)}: cannot be read; `make certs` makes ca.pem, cert.pem and key.pem for "
                              "--tls-ca, --tls-cert and --tls-key")
    roles = {f"distributed.comm.tls.{role}": {"cert": config.tls_cert, "key": config.tls_key}
             for role in ("client", "scheduler", "worker")}
    return {"distributed.comm.tls.ca-file": config.tls_ca, **roles, "distributed.comm.require-encryption": True}


def own_security() -> Any:
    """Make a key and a certificate for one run. Only processes that have both can connect.

    Both sides of a connection must show the certificate. Workers receive key and certificate through the pipe by which
    they are started, so no command line and no environment contains them. Python's ``ssl`` reads keys only from files.
    To load the key, Dask writes it for a moment to a folder that only this user can open.

    The certificate is valid for a year from yesterday on, so that it stays valid if a clock is set back. The key uses
    an elliptic curve, because such a key is made without delay.
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
    """Return True if Dask's current configuration names an authority and a certificate."""
    from distributed.security import Security

    known = Security().get_tls_config_for_role("client")
    return bool(known["ca_file"] and known["cert"])


def check_address(address: str, config: RunConfig) -> None:
    """Refuse a scheduler without TLS unless ``config.insecure`` allows it, and TLS without certificates.

    Raises
    ------
    ConfigError
        The scheduler is refused.
    ValueError
        ``address`` is not an address.
    """
    from distributed.comm import get_address_host, parse_address

    scheme, _ = parse_address(address)
    if scheme in _ENCRYPTED:
        if not has_certificates():
            raise ConfigError(f"{address}: a tls:// address needs certificates. Name them with --tls-ca, --tls-cert "
                              "and --tls-key (`make certs` makes them), or in Dask's own configuration")
    elif scheme != "inproc":
        check_hosts([get_address_host(address)], config, is_encrypted=False)


def check_hosts(hosts: list[str], config: RunConfig, *, is_encrypted: bool) -> None:
    """Raise :class:`ConfigError` for a scheduler without TLS on these hosts, unless ``config.insecure`` allows it.

    A scheduler that only this machine can reach is refused, too: other users of the machine can reach it.
    """
    if is_encrypted or config.insecure:
        return
    outside = [host for host in hosts if not is_loopback(host)]
    if outside:
        danger = f"a scheduler at {outside[0]} without TLS lets anyone who can reach it run code on its workers"
        exception = "if nobody else can use the network"
    else:
        danger = (f"a scheduler at {hosts[0]} without TLS lets every user of this machine run code as the user of its "
                  "workers")
        exception = "if nobody else uses this machine"
    raise ConfigError(f"{danger}; use tls:// with --tls-ca, --tls-cert and --tls-key (`make certs` makes them), or, "
                      f"{exception}, --insecure")


def is_loopback(host: str) -> bool:
    """Return True if a host name or address is a loopback address, which only this machine can reach."""
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(one).partition("%")[0]).is_loopback for one in addresses)
