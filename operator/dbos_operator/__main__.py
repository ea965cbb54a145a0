"""`python -m dbos_operator` is `dbos-operator`."""

from dbos_operator.cli.main import main

if __name__ == "__main__":
    main()
