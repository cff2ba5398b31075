"""What the lexer gives to the parser: tokens, and the words that the language keeps for itself.

A token knows its file and its offsets there; `span` works out line and column when somebody asks.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .source import SourceFile, Span


class Kind(Enum):
    """What a token is; the value says it in words, for messages."""

    WORD = "word"
    NUMBER = "number"
    STRING = "text"
    VARIABLE = "variable"
    NETWORK = "address"
    SYMBOL = "symbol"
    MALFORMED = "malformed number"
    ERROR = "mistake"
    END = "end of the file"


class Token(NamedTuple):
    """A piece of a script.

    `text` is the spelling in the source (quotes included), `value` the number of a NUMBER and the resolved text
    of a STRING.  An ERROR token stands where the lexer has already reported something.
    """

    kind: Kind
    text: str
    file: SourceFile
    start: int
    end: int
    value: int | str | None = None

    @property
    def span(self) -> Span:
        """Where it stands."""
        return self.file.span(self.start, self.end)

    @property
    def content(self) -> str:
        """What stands between the quotes of a STRING, as it was written."""
        return self.text[1:-1]

    def follows(self, other: Token) -> bool:
        """Whether it stands directly behind `other`, without a blank between them."""
        return self.start == other.end and self.file is other.file

    def describe(self) -> str:
        """What it is, in the words of a message: "';'", "the number 5", "the end of the file"."""
        match self.kind:
            case Kind.END:
                return "the end of the file"
            case Kind.STRING:
                return f"the text {shorten(self.text)}"
            case Kind.NUMBER | Kind.MALFORMED:
                return f"the number '{shorten(self.text)}'"
            case Kind.VARIABLE:
                return f"the variable '{shorten(self.text)}'"
            case Kind.NETWORK:
                return f"the address '{self.text}'"
            case _:
                return f"'{shorten(self.text)}'"


def shorten(text: str, width: int = 40) -> str:
    """`text` on one line and not longer than `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


NUMBER_WORDS = {
    **dict.fromkeys(("yes", "true", "on", "enable"), 1),
    **dict.fromkeys(("no", "false", "off", "disable"), 0),
}
"""Words that are numbers wherever they stand."""

ROUTE_KINDS = frozenset(
    "route failure_route onreply_route branch_route error_route local_route startup_route timer_route"
    " event_route".split()
)

MODULE_WORDS = ("loadmodule", "modparam")

STATEMENT_WORDS = frozenset(
    "assert async break case default drop else error exit for if launch log return route switch while xdbg xlog".split()
)

KEYWORDS = (
    ROUTE_KINDS
    | STATEMENT_WORDS
    | frozenset(
        """
        ACCEPT_SUBDOMAIN ANYCAST BOND FRAG NULL REUSE_PORT abort_on_assert accept_subdomain advertised_address
        advertised_port alias and any anycast auto_aliases auto_scaling_cycle auto_scaling_profile bond check_via
        chroot db_default_url db_max_async_connections db_version_table debug_mode disable_503_translation
        disable_core_dump disable_dns_blacklist disable_dns_failover disable_stateless_fwd dns dns_retr_no
        dns_retr_time dns_servers_no dns_try_ipv6 dns_try_naptr dns_use_search_list dst_blacklist enable_asserts
        event_pkg_threshold event_shm_threshold exec_dns_threshold exec_msg_threshold execdnsthreshold
        execmsgthreshold expire frag in loadmodule log_event_enabled log_event_level_filter log_json_buf_size
        log_level log_msg_buf_size log_prefix log_stdout max_while_loops maxbuffer mcast_loopback mcast_ttl
        mem_dump mem_log mem_warming mem_warming_enabled mem_warming_pattern_file mem_warming_percentage memdump
        memlog mhomed modparam mpath not null open_files_limit or pi_framework poll_method pv_print_buf_size
        query_buffer_size query_flush_time readonly restart_persistency_cache_file restart_persistency_size
        rev_dns reuse_port server_header server_signature shm_hash_split_percentage shm_memlog_size
        shm_secondary_hash_size sip_warning socket stderror_enabled stderror_level_filter stderror_log_format
        sync syslog_enabled syslog_facility syslog_level_filter syslog_log_format syslog_name tag
        tcp_accept_aliases tcp_connect_timeout tcp_connection_lifetime tcp_keepalive tcp_keepcount tcp_keepidle
        tcp_keepinterval tcp_max_connections tcp_max_msg_time tcp_no_new_conn_bflag tcp_no_new_conn_rplflag
        tcp_socket_backlog tcp_threads tcp_threshold tcp_workers tcpthreshold timer_workers tos udp_workers
        user_agent_header wdir workdir worker_reactor_timeout workerreactortimeout xlog_buf_size
        xlog_force_color xlog_level xlog_print_level
        """.split()
    )
)
"""Words that cannot name a route unless they stand in quotes (OpenSIPS 4.1)."""
