"""Module auth: digest challenges, and credentials checked against user and password in variables.

A nonce is good for `nonce_expire` seconds and for one answer.  The same request once more, as UDP repeats it, is let
through, and so is an answer with a higher `nc`, which nobody can make without the password.  `auth` is offered to
other modules (miscript.digest_service).

Source: OpenSIPS manual, module auth; RFC 3261 section 22, RFC 7616, RFC 8760; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import re
import secrets
from typing import Final

from ..answering import answer
from ..digest_service import HaOf, Verdict
from ..errors import ConfigurationError
from ..exports import Module, parameter, script_function
from ..script.runtime import Run
from ..services import Services
from ..sip.digest_response import QOPS, Algorithm, Challenge, Credentials, plain_ha1
from ..sip.headers import HeaderField
from ..sip.message import Message
from ..sip.nonces import NonceMaker, Standing, UsedNonces
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri
from ..values import plain_text
from ..variable_spec import VariableSpec

__all__ = ["Auth"]

log = logging.getLogger("miscript.auth")

SECRET_LENGTH: Final = 32
CHALLENGED: Final = 0
"""What a challenge returns: the script ends, as the request has its reply."""

STALE: Final = "auth stale"
GOOD: Final = "auth credentials"
_E164 = re.compile(r"\+[0-9]{1,15}", re.ASCII)


class Auth(Module):
    """Digest authentication."""

    name = "auth"
    needs = ("signaling",)

    secret = parameter("", "32 bytes that nonces are sealed with; by chance, and new at each start, without.")
    nonce_expire = parameter(30, "Seconds that a nonce is good for.")
    realm_prefix = parameter("", "Taken off the front of realms that are taken from the request.")
    username_spec = parameter("", "Variable with the user, for pv_www_authorize and pv_proxy_authorize.")
    password_spec = parameter("", "Variable with the password, or its HA1.")
    calculate_ha1 = parameter(0, "1: that variable holds a password in the clear; 0: an HA1.")
    disable_nonce_check = parameter(0, "1: a nonce may be answered as often as one likes, until its time is over.")
    rpid_avp = parameter("$avp(rpid)", "AVP with the URI for Remote-Party-ID.")
    rpid_prefix = parameter("", "Text before that URI.")
    rpid_suffix = parameter(";party=calling;id-type=subscriber;screen=yes", "Text behind that URI.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._nonces = NonceMaker(secrets.token_bytes(SECRET_LENGTH), 30)
        self._used = UsedNonces()
        self._user: VariableSpec | None = None
        self._password: VariableSpec | None = None
        self._rpid: VariableSpec | None = None
        services.provide("auth", self)

    def init(self) -> None:
        secret = self.secret.encode("utf-8", "surrogateescape") or secrets.token_bytes(SECRET_LENGTH)
        if len(secret) != SECRET_LENGTH:
            raise ConfigurationError(
                f"secret must have {SECRET_LENGTH} bytes, it has {len(secret)}", parameter="secret"
            )
        if self.nonce_expire <= 0:
            raise ConfigurationError("nonce_expire must be positive", parameter="nonce_expire")
        self._nonces = NonceMaker(secret, self.nonce_expire, secrets.randbits(31))
        self._user = self._spec("username_spec")
        self._password = self._spec("password_spec")
        self._rpid = self._spec("rpid_avp")

    def _spec(self, name: str) -> VariableSpec | None:
        text = getattr(self, name)
        if text in ("", "NULL"):
            return None
        try:
            return VariableSpec.parse(text)
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}", parameter=name) from error

    # -- checking -------------------------------------------------------------------------------------------------

    @script_function(routes="request")
    def pv_www_authorize(self, run: Run, realm: str) -> int:
        """Check Authorization against the user and password in the variables of the module.

        1: right, -1: another user, -2: wrong password, -3: the nonce is too old or used, -4: no credentials for this
        realm, -5: the variables are not there.  An empty realm is the domain of To in a REGISTER, else that of From.
        """
        return self._authorize(run, realm, proxy=False)

    @script_function(routes="request")
    def pv_proxy_authorize(self, run: Run, realm: str) -> int:
        """The same with Proxy-Authorization; an empty realm is the domain of From."""
        return self._authorize(run, realm, proxy=True)

    def _authorize(self, run: Run, given: str, *, proxy: bool) -> Verdict:
        realm = self.realm(run, given, proxy=proxy)
        if realm is None or self._user is None or self._password is None:
            log.error("credentials cannot be checked: no realm, or username_spec and password_spec are not set")
            return Verdict.ERROR
        user, password = self._user.get(run), self._password.get(run)
        if user is None or password is None:
            log.error("credentials cannot be checked: %s or %s is NULL", self._user.text, self._password.text)
            return Verdict.ERROR
        wanted, secret = plain_text(user), plain_text(password)

        def ha1_of(credentials: Credentials) -> str | None:
            if wanted not in (credentials.user, credentials.user.partition("@")[0]):
                return None
            if not self.calculate_ha1:
                return secret
            return plain_ha1(credentials.algorithm, credentials.user, credentials.realm, secret)

        return self.check(run, realm, ha1_of, proxy=proxy)

    def realm(self, run: Run, given: str, *, proxy: bool) -> str | None:
        """The realm that a script gave, or the domain that the request speaks of when it is empty."""
        message = run.message
        if given or not isinstance(message, Message):
            return given or None
        try:
            address = message.to if message.method == "REGISTER" and not proxy else message.from_
            host = "" if address is None else address.sip_uri().host
        except SipSyntaxError:
            return None
        if self.realm_prefix and host.lower().startswith(self.realm_prefix.lower()):
            host = host[len(self.realm_prefix) :]
        return host or None

    def credentials(self, run: Run, realm: str, *, proxy: bool) -> Credentials | None:
        """The credentials that the request has for a realm."""
        found = _credentials(run, realm, proxy)
        return None if found is None else found[1]

    def check(self, run: Run, realm: str, ha1_of: HaOf, *, proxy: bool) -> Verdict:
        """Check the credentials of the request; good ones are what `consume_credentials()` removes.

        ACK and CANCEL cannot be challenged and pass (RFC 3261 section 22.1).
        """
        message = run.message
        if not isinstance(message, Message) or message.method is None:
            return Verdict.ERROR
        if message.method in ("ACK", "CANCEL"):
            return Verdict.AUTHORIZED
        found = _credentials(run, realm, proxy)
        if found is None:
            return Verdict.NO_CREDENTIALS
        field, credentials = found
        ha1 = ha1_of(credentials)
        if ha1 is None:
            return Verdict.UNKNOWN_USER
        if not credentials.proves(ha1, message.method, message.body):
            return Verdict.WRONG_PASSWORD
        if not self._takes(credentials, message):
            run.data[STALE] = True
            return Verdict.STALE_NONCE
        run.data[GOOD] = field
        return Verdict.AUTHORIZED

    def authorized(self, run: Run) -> Credentials | None:
        """The credentials of the request that were found good and are still there."""
        field = run.data.get(GOOD)
        return Credentials.parse(field.value) if isinstance(field, HeaderField) else None

    def _takes(self, credentials: Credentials, message: Message) -> bool:
        """Whether the nonce of good credentials is ours, in time, and not used up."""
        now = self.services.clock.time()
        nonce = self._nonces.read(credentials.nonce)
        standing = self._nonces.standing(nonce, now)
        if nonce is None or standing is not Standing.GOOD or nonce.algorithm is not credentials.algorithm:
            return False
        if self.disable_nonce_check:
            return True
        request = f"{message.call_id} {message.header('CSeq')}"
        return self._used.take(nonce, credentials.count, request, now, nonce.made + self.nonce_expire)

    @script_function(routes="request")
    def consume_credentials(self, run: Run) -> int:
        """Remove the credentials that were found good, so that nobody behind us sees them."""
        field, message = run.data.pop(GOOD, None), run.message
        if not isinstance(message, Message) or not isinstance(field, HeaderField):
            log.error("consume_credentials: no credentials were found good")
            return -1
        message.remove_field(field)
        return 1

    # -- challenging ----------------------------------------------------------------------------------------------

    @script_function(routes="request")
    def www_challenge(self, run: Run, realm: str, qop: str = "", algorithms: str = "") -> int:
        """Answer 401 with a challenge for each algorithm (MD5 alone without) and end the script.

        `qop` is "auth", "auth-int" or both with a comma.  An empty realm is the domain of To in a REGISTER, else
        that of From.
        """
        return self._challenge(run, realm, qop, algorithms, proxy=False)

    @script_function(routes="request")
    def proxy_challenge(self, run: Run, realm: str, qop: str = "", algorithms: str = "") -> int:
        """The same with a 407; an empty realm is the domain of From."""
        return self._challenge(run, realm, qop, algorithms, proxy=True)

    def _challenge(self, run: Run, given: str, qop: str, algorithms: str, *, proxy: bool) -> int:
        realm = self.realm(run, given, proxy=proxy)
        qops = tuple(word.strip().lower() for word in qop.split(",") if word.strip())
        wanted = [Algorithm.named(word) for word in algorithms.split(",") if word.strip()]
        if realm is None or "\r" in realm or "\n" in realm or set(qops) - set(QOPS) or None in wanted:
            log.error("a challenge cannot be made: realm '%s', qop '%s', algorithms '%s'", given, qop, algorithms)
            return -1
        name, status, reason = "WWW-Authenticate", 401, "Unauthorized"
        if proxy:
            name, status, reason = "Proxy-Authenticate", 407, "Proxy Authentication Required"
        now, stale = self.services.clock.time(), bool(run.data.get(STALE))
        headers = []
        for algorithm in Algorithm:
            if algorithm in (wanted or [Algorithm.MD5]):
                nonce = self._nonces.make(now, algorithm)
                challenge = Challenge(realm, nonce, algorithm, bool(wanted), qops, stale)
                headers.append(f"{name}: {challenge}\r\n")
        return CHALLENGED if answer(self.services, run, status, reason, headers) else -1

    # -- Remote-Party-ID ------------------------------------------------------------------------------------------

    def _rpid_of(self, run: Run) -> str | None:
        value = None if self._rpid is None else self._rpid.get(run)
        return None if value is None else plain_text(value)

    @script_function(routes="request")
    def is_rpid_user_e164(self, run: Run) -> int:
        """Whether the user of the URI in `rpid_avp` is a telephone number: a plus and up to 15 digits."""
        text = self._rpid_of(run)
        try:
            user = None if text is None else SipUri.parse(text.rpartition("<")[2].partition(">")[0]).user
        except SipSyntaxError:
            return -1
        return 1 if user is not None and _E164.fullmatch(user) else -1

    @script_function(routes="request failure branch")
    def append_rpid_hf(self, run: Run, prefix: str | None = None, suffix: str | None = None) -> int:
        """Add Remote-Party-ID with the URI in `rpid_avp` between two texts, by default those of the module."""
        uri, message = self._rpid_of(run), run.message
        if uri is None or not isinstance(message, Message):
            return -1
        before = self.rpid_prefix if prefix is None else prefix
        behind = self.rpid_suffix if suffix is None else suffix
        try:
            message.append_hf(f"Remote-Party-ID: {before}{uri}{behind}")
        except SipSyntaxError as error:
            log.error("append_rpid_hf: %s", error)
            return -1
        return 1


def _credentials(run: Run, realm: str, proxy: bool) -> tuple[HeaderField, Credentials] | None:
    """The first credentials for a realm, and the field that they stand in."""
    message = run.message
    if not isinstance(message, Message):
        return None
    key = "proxy-authorization" if proxy else "authorization"
    for field in message.fields:
        if field.key != key:
            continue
        try:
            credentials = Credentials.parse(field.value)
        except SipSyntaxError as error:
            log.info("credentials cannot be read: %s", error)
            continue
        if credentials.realm == realm:
            return field, credentials
    return None
