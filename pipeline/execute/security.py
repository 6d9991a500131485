"""Who may talk to a scheduler: whoever can runs code on its workers, so on a network it takes a certificate."""

from __future__ import annotations

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


def has_certificates() -> bool:
    """Tell whether Dask, as it is now configured, has an authority and a certificate of its own."""
    from distributed.security import Security

    known = Security().get_tls_config_for_role("client")
    return bool(known["ca_file"] and known["cert"])


def check_address(address: str, config: RunConfig) -> None:
    """Refuse a scheduler on the network without TLS, and TLS without certificates.

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
    """Refuse to let a scheduler listen beyond this machine without TLS, unless ``config.insecure``."""
    outside = [host for host in hosts if not is_loopback(host)]
    if outside and not is_encrypted and not config.insecure:
        raise ConfigError(f"a scheduler at {outside[0]} without TLS lets whoever reaches it run code on its workers; "
                          "use tls:// with --tls-ca, --tls-cert and --tls-key (`make certs` makes them), or, where the "
                          "network is yours alone, --insecure")


def is_loopback(host: str) -> bool:
    """Tell whether a name or address leads to this machine alone."""
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(one).partition("%")[0]).is_loopback for one in addresses)
