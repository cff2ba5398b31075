"""Parameters of module dialog for databases, caches and clusters.

Those for caches and clusters have no effect: they are accepted so that scripts need no change, and `DialogModule.init`
refuses what asks for a cluster or a cache.
"""

from __future__ import annotations

from ...exports import parameter

COLUMN = "Name of a column of the table in the database."
CLUSTER = "For clusters; it means nothing here."
CACHE = "For profiles in a cache; it means nothing here."


class StoreParameters:
    """Parameters for databases, caches and clusters."""

    enable_stats = parameter(1, "Has no effect here: statistics cost nothing.")
    log_profile_hash_size = parameter(4, "Has no effect here: tables grow as they need.")
    db_url = parameter("", "Database with the table; the global db_default_url without it.")
    db_mode = parameter(
        0, "When dialogs are written to a database: 0 never, 1 at once, 2 every db_update_period seconds, 3 at the end."
    )
    db_update_period = parameter(60, "Seconds from one writing of what has changed to the next, for db_mode 2.")
    db_flush_vals_profiles = parameter(
        0, "1: a change of values, profiles or flags alone is written too, and not only with the next other one."
    )
    timer_bulk_del_no = parameter(1, "It means nothing here: rows are written and removed 200 at a time.")
    table_name = parameter("dialog", "Name of the table in the database.")
    dlg_id_column = parameter("dlg_id", COLUMN)
    call_id_column = parameter("callid", COLUMN)
    from_uri_column = parameter("from_uri", COLUMN)
    from_tag_column = parameter("from_tag", COLUMN)
    to_uri_column = parameter("to_uri", COLUMN)
    to_tag_column = parameter("to_tag", COLUMN)
    state_column = parameter("state", COLUMN)
    start_time_column = parameter("start_time", COLUMN)
    timeout_column = parameter("timeout", COLUMN)
    to_cseq_column = parameter("callee_cseq", COLUMN)
    from_cseq_column = parameter("caller_cseq", COLUMN)
    to_route_column = parameter("callee_route_set", COLUMN)
    from_route_column = parameter("caller_route_set", COLUMN)
    to_contact_column = parameter("callee_contact", COLUMN)
    from_contact_column = parameter("caller_contact", COLUMN)
    to_sock_column = parameter("callee_sock", COLUMN)
    from_sock_column = parameter("caller_sock", COLUMN)
    profiles_column = parameter("profiles", COLUMN)
    vars_column = parameter("vars", COLUMN)
    sflags_column = parameter("script_flags", COLUMN)
    mflags_column = parameter("module_flags", COLUMN)
    flags_column = parameter("flags", COLUMN)
    cachedb_url = parameter("", "A cache for shared profiles; not available, must be empty.")
    profile_value_prefix = parameter("dlg_val_", CACHE)
    profile_no_value_prefix = parameter("dlg_noval_", CACHE)
    profile_size_prefix = parameter("dlg_size_", CACHE)
    profile_timeout = parameter(86400, CACHE)
    dialog_replication_cluster = parameter(0, "Number of a cluster; not available, must be 0.")
    profile_replication_cluster = parameter(0, "Number of a cluster; not available, must be 0.")
    replicate_profiles_timer = parameter(200, CLUSTER)
    replicate_profiles_check = parameter(10, CLUSTER)
    replicate_profiles_buffer = parameter(1400, CLUSTER)
    replicate_profiles_expire = parameter(10, CLUSTER)
    cluster_auto_sync = parameter(1, CLUSTER)
