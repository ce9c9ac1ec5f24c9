"""The data of the demo facility: real files with their licences, and generated ones."""
