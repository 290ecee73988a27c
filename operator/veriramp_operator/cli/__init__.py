"""The veriramp command, also kubectl veriramp."""
