@echo off
setlocal
rem set COMMANDLINE_ARGS=--highvram
set PYTHON=%~dp0venv\Scripts\python.exe
set COMMANDLINE_ARGS=--listen --ckpt-dir "D:\my models & more" --lowvram
set "wan_dtype=fp32"
if exist extra.bat (
    set EXTRA=--x
    call extra.bat
)
"%PYTHON%" main.py %COMMANDLINE_ARGS% %EXTRA%
pause