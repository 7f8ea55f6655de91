"""``python -m pyllama``: the same as the console script."""

from pyllama.commands.app import main

main()
