@echo off
rem Starts the acquisition of the USB kit that this file lies in. Nothing is installed.
cd /d "%~dp0"
chcp 65001 >nul
hozen-agent.exe acquire --kit %*
echo.
pause
