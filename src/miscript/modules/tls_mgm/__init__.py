"""Module tls_mgm: certificates and rules of TLS, in domains, for SIP (proto_tls) and for HEP (proto_hep).

A domain is for connections that come (`server_domain`) or that we open (`client_domain`); its other parameters name it
in front of their value: `modparam("tls_mgm", "certificate", "[atlanta]/etc/ssl/atlanta.pem")`.  Domains may also stand
in a table (`db_url`), certificates and keys as they are in PEM; `tls_mgm:reload` reads it again, and connections that
are open keep what they have.  A connection that no domain matches is not opened, and not taken.

OpenSSL comes with Python: `tls_openssl` and `tls_wolfssl` may be loaded, and change nothing.  Renegotiation,
compression and early data are off.  A certificate is checked against `ca_list` and `ca_dir`; whose name it has is for
the script to look at (`$tls_peer_san_hostname`), as on the server.

Source: OpenSIPS manual, module tls_mgm; observed behaviour of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Final

from ...database import Database, DatabaseError, database_at
from ...errors import ConfigurationError, MIError
from ...exports import Module, mi_command, parameter, script_function
from ...script.runtime import Run
from ...services import Services
from ...tls_service import Noted, Place, TlsDomain
from ...values import plain_text
from .loading import Columns, load_settings
from .matching import DomainTable, parse_address, split_list
from .settings import DomainSettings, SettingError, make_domain, method_range
from .variables import TlsVariables

log = logging.getLogger("miscript.tls_mgm")

__all__ = ["TlsMgm"]

LIBRARIES: Final = ("auto", "none", "openssl", "wolfssl")
_NAMED: Final = re.compile(r"\s*\[([^\]]+)\](.*)", re.DOTALL)


def _addresses(settings: DomainSettings, text: str) -> None:
    settings.addresses = split_list(text)
    for address in settings.addresses:
        parse_address(address)


def _sip_domains(settings: DomainSettings, text: str) -> None:
    settings.sip_domains = split_list(text)


def _method(settings: DomainSettings, text: str) -> None:
    method_range(text)
    settings.method = text


def _text(attribute: str) -> Callable[[DomainSettings, str], None]:
    return lambda settings, text: setattr(settings, attribute, text)


def _switch(attribute: str) -> Callable[[DomainSettings, str], None]:
    def set_switch(settings: DomainSettings, text: str) -> None:
        if not (text.isascii() and text.isdecimal()):
            raise ValueError(f"'{text}' is no number, expected 0 or 1")
        setattr(settings, attribute, int(text) != 0)

    return set_switch


SETTERS: Final[dict[str, Callable[[DomainSettings, str], None]]] = {
    "match_ip_address": _addresses,
    "match_sip_domain": _sip_domains,
    "tls_method": _method,
    "verify_cert": _switch("verifies"),
    "require_cert": _switch("requires"),
    "certificate": _text("certificate"),
    "private_key": _text("private_key"),
    "crl_check_all": _switch("crl_check_all"),
    "crl_dir": _text("crl_dir"),
    "ca_list": _text("ca_list"),
    "ca_dir": _text("ca_dir"),
    "ciphers_list": _text("ciphers"),
    "dh_params": _text("dh_params"),
    "ec_curve": _text("ec_curve"),
}
"""Parameters of a domain; each raises ValueError for a text that it cannot take."""


def _of_domain(help: str) -> list[str]:
    return parameter([], f"`[domain]value`: {help}", kinds="string", repeatable=True)


class TlsMgm(TlsVariables, Module):
    """Certificates and rules of TLS."""

    name = "tls_mgm"
    early = True

    tls_library = parameter(
        "auto", "Whose library: auto, none, openssl or wolfssl. Here it is always Python's OpenSSL."
    )
    server_domain: list[str] = parameter(
        [], "A domain for connections that come to us.", kinds="string", repeatable=True
    )
    client_domain: list[str] = parameter([], "A domain for connections that we open.", kinds="string", repeatable=True)
    match_ip_address = _of_domain(
        "the `address:port`s it is for, of our socket or of the peer we connect to; `*`: all."
    )
    match_sip_domain = _of_domain(
        "the names it is for, asked for with SNI or set in `client_sip_domain_avp`, with wildcards; `none`: no name, "
        "`*`: all."
    )
    tls_method = _of_domain("SSLv23 (TLS 1.2 and newer), TLSv1, TLSv1_1, TLSv1_2, TLSv1_3, or a range `low-high`.")
    verify_cert = _of_domain("1 to check the peer's certificate.")
    require_cert = _of_domain("1 to refuse clients that show none; of server domains.")
    certificate = _of_domain("file with our certificate and those between it and its CA, in PEM.")
    private_key = _of_domain("file with its key, in PEM, without a password.")
    crl_check_all = _of_domain("1 to look for all certificates of a chain in `crl_dir`, not only for the last.")
    crl_dir = _of_domain("directory with revocation lists, under their hashed names.")
    ca_list = _of_domain("file with the CAs that are trusted, in PEM.")
    ca_dir = _of_domain("directory with such files, under their hashed names.")
    ciphers_list = _of_domain("ciphers as OpenSSL names them; of TLS 1.2 and older.")
    dh_params = _of_domain("file with Diffie-Hellman parameters, in PEM.")
    ec_curve = _of_domain("the elliptic curve for the exchange of keys.")
    client_tls_domain_avp = parameter("", "Name of the AVP that may name the client domain of a new connection.")
    client_sip_domain_avp = parameter("", "Name of the AVP that may hold the SIP domain a client domain is chosen by.")
    db_url = parameter("", "Database with more domains.")
    db_table = parameter("tls_mgm", "Its table.")
    domain_col = parameter("domain", "Column with the domain's name.")
    match_ip_address_col = parameter("match_ip_address", "Column for `match_ip_address`.")
    match_sip_domain_col = parameter("match_sip_domain", "Column for `match_sip_domain`.")
    tls_method_col = parameter("method", "Column for `tls_method`.")
    verify_cert_col = parameter("verify_cert", "Column for `verify_cert`.")
    require_cert_col = parameter("require_cert", "Column for `require_cert`.")
    certificate_col = parameter("certificate", "Column with our certificate, in PEM.")
    private_key_col = parameter("private_key", "Column with its key, in PEM.")
    crl_check_all_col = parameter("crl_check_all", "Column for `crl_check_all`.")
    crl_dir_col = parameter("crl_dir", "Column for `crl_dir`.")
    ca_list_col = parameter("ca_list", "Column with the CAs that are trusted, in PEM.")
    ca_dir_col = parameter("ca_dir", "Column for `ca_dir`.")
    ciphers_list_col = parameter("cipher_list", "Column for `ciphers_list`.")
    dh_params_col = parameter("dh_params", "Column with Diffie-Hellman parameters, in PEM.")
    ec_curve_col = parameter("ec_curve", "Column for `ec_curve`.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._given: list[tuple[str, str]] = []
        self._scripted: list[tuple[DomainSettings, TlsDomain]] = []
        self._all: list[tuple[DomainSettings, TlsDomain]] = []
        self._servers = self._clients = DomainTable()
        self._database: Database | None = None
        services.provide("tls domains", self)

    # -- parameters -----------------------------------------------------------------------------------------------

    def set_parameter(self, name: str, value: int | str) -> None:
        """Parameters of domains are kept in their order: a domain comes before what is said of it."""
        super().set_parameter(name, value)
        if name in SETTERS or name in ("server_domain", "client_domain"):
            self._given.append((name, str(value)))

    def init(self) -> None:
        if self.tls_library not in LIBRARIES:
            raise ConfigurationError(
                f"'{self.tls_library}' is no library, expected one of {', '.join(LIBRARIES)}", parameter="tls_library"
            )
        self._client_avps = tuple(
            text.strip().removeprefix("$avp(").removesuffix(")")
            for text in (self.client_tls_domain_avp, self.client_sip_domain_avp)
        )
        self._scripted = [(settings, make_domain(settings)) for settings in self._settings()]
        self._use(self._scripted)

    def _settings(self) -> list[DomainSettings]:
        found: list[DomainSettings] = []
        for name, text in self._given:
            if name in SETTERS:
                self._set(found, name, text)
                continue
            is_server = name == "server_domain"
            if any(known.name == text and known.is_server == is_server for known in found):
                raise ConfigurationError(f"domain '{text}' is there twice", parameter=name, value=text)
            found.append(DomainSettings(text, is_server, requires=is_server, given={name: text}))
        return found

    def _set(self, found: list[DomainSettings], name: str, text: str) -> None:
        parts = _NAMED.fullmatch(text)
        if parts is None:
            raise ConfigurationError(f"'{text}' names no domain, expected [domain]value", parameter=name, value=text)
        domains = [settings for settings in found if settings.name == parts[1].strip()]
        if not domains:
            raise ConfigurationError(
                f"there is no domain '{parts[1]}' yet",
                parameter=name,
                value=text,
                help=f'define it before: modparam("tls_mgm", "server_domain", "{parts[1]}")',
            )
        for settings in domains:
            settings.given[name] = text
            try:
                SETTERS[name](settings, parts[2].strip())
            except ValueError as error:
                raise SettingError(settings, name, str(error)) from error

    # -- tables ---------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        await self._prepare_table()
        if not any(settings.is_server for settings, _ in self._all):
            for socket in self.services.sockets:
                if socket.startswith("tls:"):
                    log.warning(
                        "socket '%s' refuses each connection: no certificate is set for it; define a domain with "
                        "'server_domain', 'certificate' and 'private_key'",
                        socket,
                    )

    async def _prepare_table(self) -> None:
        if not self.db_url:
            return
        self._database = database_at(self.services.find, self.db_url)
        try:
            await self._load()
        except (DatabaseError, ConfigurationError) as error:
            raise ConfigurationError(f"table '{self.db_table}': {error}", parameter="db_url") from error

    async def _load(self) -> None:
        """Read the table whole; when a row is wrong, all stays as it is."""
        assert self._database is not None
        columns = Columns.of({name: getattr(self, f"{name}_col") for name in ("domain", *SETTERS)})
        loaded = await load_settings(self._database, self.db_table, columns, self._from_row)
        self._use([*self._scripted, *((settings, make_domain(settings)) for settings in loaded)])

    def _from_row(self, settings: DomainSettings, name: str, text: str) -> None:
        try:
            SETTERS[name](settings, text)
        except ValueError as error:
            raise SettingError(settings, name, str(error)) from error

    def _use(self, domains: list[tuple[DomainSettings, TlsDomain]]) -> None:
        servers = DomainTable.of(one for one in domains if one[0].is_server)
        clients = DomainTable.of(one for one in domains if not one[0].is_server)
        self._all, self._servers, self._clients = domains, servers, clients

    async def stop(self) -> None:
        if self._database is not None:
            await self._database.close()

    # -- what proto_tls and proto_hep ask (`tls_service.TlsDomains`) ------------------------------------------------

    def for_server(self, local: Place, server_name: str | None) -> TlsDomain | None:
        """The domain of a connection that came to `local`."""
        return self._servers.choose(local, server_name)

    def for_client(self, peer: Place, noted: Noted = ()) -> TlsDomain | None:
        """The domain of a connection to `peer`, named by an AVP or chosen by address and SIP domain."""
        named, sip_domain = (_noted(noted, name) for name in self._client_avps)
        return self._clients.choose(peer, sip_domain) if named is None else self._clients.named(named)

    def named_client(self, name: str) -> TlsDomain | None:
        """The domain for connections of ours that is called `name`."""
        return self._clients.named(name)

    # -- script and MI --------------------------------------------------------------------------------------------

    @script_function(routes="request")
    def is_peer_verified(self, run: Run) -> int:
        """Succeed when the request came over TLS, and the certificate of its peer was checked and is good."""
        session = self.session(run)
        return 1 if session is not None and session.verified else -1

    @mi_command("list", "", aliases=["tls_list"], read_only=True)
    def mi_list(self) -> object:
        """List all domains, those of clients first, the newest first; never a key, nor a certificate of a table."""
        newest_first = [settings for settings, _ in self._all[::-1]]
        return {"Domains": [settings.shown() for settings in sorted(newest_first, key=lambda one: one.is_server)]}

    @mi_command("reload", "", aliases=["tls_reload"])
    async def mi_reload(self) -> str:
        """Read the domains of the table again; when one is wrong, all stay as they are."""
        if self._database is None:
            raise MIError(500, "DB url not set")
        try:
            await self._load()
        except (DatabaseError, ConfigurationError) as error:
            raise MIError(500, "Failed to reload", str(error)) from error
        return "OK"


def _noted(noted: Noted, name: str) -> str | None:
    """The newest value of an AVP, that of the branch before that of the transaction."""
    for avps in noted if name else ():
        values = avps.get(name)
        if values and values[-1] is not None:
            return plain_text(values[-1])
    return None
