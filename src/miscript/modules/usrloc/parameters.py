"""The parameters of module usrloc that are for databases and clusters.

Those for clusters are accepted where they change nothing, so that scripts need no change.
"""

from __future__ import annotations

from ...exports import parameter

COLUMN = "Name of a column of the tables in the database."


class StoreParameters:
    """Parameters for databases and clusters."""

    working_mode_preset = parameter(
        "single-instance-no-db",
        "single-instance-no-db (memory alone), single-instance-sql-write-through (a database is written at once) or "
        "single-instance-sql-write-back (every timer_interval seconds); in place of the next three.",
    )
    cluster_mode = parameter("none", 'Sharing contacts between hosts; only "none" is available.')
    restart_persistency = parameter("none", "What is kept from one run to the next: none, or all with load-from-sql.")
    sql_write_mode = parameter(
        "none", "When a database is written: write-through at once, write-back every timer_interval seconds."
    )
    pinging_mode = parameter("ownership", "Who pings a contact in a cluster; it means nothing here.")
    db_url = parameter("", "Database with the tables; the global db_default_url without it.")
    cachedb_url = parameter("", "A cache as a database; not used.")
    location_cluster = parameter(0, "Number of a cluster; not available, must be 0.")
    ha_cluster = parameter(0, "Number of a cluster; not available, must be 0.")
    ha_shtag = parameter("", "Tag of a cluster; it means nothing here.")
    skip_replicated_db_ops = parameter(0, "For clusters; it means nothing here.")
    max_contact_delete = parameter(10, "It means nothing here: rows are written and removed 200 at a time.")
    regen_broken_contactid = parameter(0, "It means nothing here: every id is taken as it is.")
    contact_id_column = parameter("contact_id", COLUMN)
    user_column = parameter("username", COLUMN)
    domain_column = parameter("domain", COLUMN)
    contact_column = parameter("contact", COLUMN)
    expires_column = parameter("expires", COLUMN)
    q_column = parameter("q", COLUMN)
    callid_column = parameter("callid", COLUMN)
    cseq_column = parameter("cseq", COLUMN)
    flags_column = parameter("flags", COLUMN)
    cflags_column = parameter("cflags", COLUMN)
    user_agent_column = parameter("user_agent", COLUMN)
    received_column = parameter("received", COLUMN)
    path_column = parameter("path", COLUMN)
    socket_column = parameter("socket", COLUMN)
    methods_column = parameter("methods", COLUMN)
    sip_instance_column = parameter("sip_instance", COLUMN)
    kv_store_column = parameter("kv_store", COLUMN)
    attr_column = parameter("attr", COLUMN)


NO_CLUSTER = ("location_cluster", "ha_cluster")
"""Parameters that must be 0."""
