"""The command ``qa-suite``: the composition root, and the only place that may import everything.

Exit status: 0 done or pass, 1 verdict fail, 2 bad input, 3 inconclusive, 4 internal error,
5 not finished, for a reason of the run that passes: the same command carries on.
"""

from __future__ import annotations

import os
import sys
import traceback

import typer

from qa_suite.core.errors import QAError, Unfinished
from qa_suite.core.extras import missing_extra

app = typer.Typer(
    name="qa-suite",
    help="Examine medical image translators: may this AI-made CT be used on patients?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    epilog="Exit status: 0 done or pass, 1 verdict fail, 2 bad input, 3 inconclusive, "
    "4 internal error, 5 not finished: the same command carries on.",
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        from qa_suite import __version__

        typer.echo(__version__)
        raise typer.Exit


def _assemble() -> None:
    from qa_suite.cli import (
        audit,
        bundle,
        checks,
        checkup,
        compare,
        dashboard,
        data,
        demo,
        dose,
        dvh,
        evaluate,
        exam,
        examine,
        gamma,
        instruments,
        listing,
        lock,
        models,
        power,
        release,
        risks,
        rtdose,
        signing,
        sync,
        translate,
        utility,
        verify,
    )

    for module in (
        demo,
        data,
        checks,
        models,
        translate,
        lock,
        evaluate,
        examine,
        dashboard,
        risks,
        audit,
        compare,
        bundle,
        power,
        verify,
        signing,
        release,
        checkup,
        dose,
        dvh,
        gamma,
        rtdose,
        exam,
        instruments,
        utility,
        sync,
        listing,
    ):
        module.add_to(app)


_assemble()


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave the process with its exit status."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status.

    Set ``QA_SUITE_DEBUG=1`` to see the traceback of an internal error.
    """
    from typer.exceptions import TyperException

    from qa_suite.cli.store_watch import ask_early
    from qa_suite.core.failures import is_of_the_run, system_sentence, unfinished

    ask_early(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="qa-suite", standalone_mode=False)
    except QAError as error:
        print(f"qa-suite: {error}", file=sys.stderr)
        return 5 if isinstance(error, Unfinished) else 2
    except TyperException as error:
        show = getattr(error, "show", None)
        show() if show else print(f"qa-suite: {error}", file=sys.stderr)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        print("qa-suite: stopped; run the same command again to carry on.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read what is printed has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except OSError as error:
        _debug()
        print(f"qa-suite: {system_sentence(error)}", file=sys.stderr)
        return 2
    except Exception as error:
        if isinstance(error, ImportError) and (missing := missing_extra(error)):
            _debug()
            print(f"qa-suite: {missing}.", file=sys.stderr)
            return 2
        if is_of_the_run(error):
            _debug()
            print(f"qa-suite: {unfinished('The command ended', error)}", file=sys.stderr)
            return 5
        from qa_suite.core.validation import in_words

        _debug()
        print(
            f"qa-suite: internal error, {type(error).__name__}: {in_words(error)} "
            f"(set QA_SUITE_DEBUG=1 for the traceback, and please report it)",
            file=sys.stderr,
        )
        return 4
    return int(result or 0)


def _debug() -> None:
    if os.environ.get("QA_SUITE_DEBUG"):
        traceback.print_exc()
