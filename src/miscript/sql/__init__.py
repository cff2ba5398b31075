"""Tables in SQL databases: what db_sqlite, db_postgres and db_mysql have in common.

```
urls         what a db_url says, without anything being opened
cells        values of scripts ⇄ values of columns
tables       the statements that work on tables
database     SqlDatabase: a pool of connections to one URL, with deadlines
driver       SqlDriver: which databases are open, what kind they are of
definitions  the tables that modules use, as miscript defines them
schema       making them, and bringing older ones up to date
```

All but `urls` and `driver` import SQLAlchemy, so they are imported when the first URL is opened.

Source: miscript.database (what the methods mean); OpenSIPS manual, modules db_sqlite, db_postgres, db_mysql.
"""
